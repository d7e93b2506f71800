package config

import (
	"strings"
	"testing"
)

func TestRedacted(t *testing.T) {
	const nothing = "(connection string not shown)"
	tests := []struct{ dsn, want string }{
		{"", ""},
		// URLs.
		{"postgres://app:hunter2@db.example.com:5432/orders", "postgres://app:xxxxx@db.example.com:5432/orders"},
		{"postgresql://app@db.example.com/orders", "postgresql://app@db.example.com/orders"},
		{"postgres://db/orders?sslmode=require", "postgres://db/orders?sslmode=require"},
		{"postgres://app:hunter2@h1:5432,h2:5433/orders", "postgres://app:xxxxx@h1:5432,h2:5433/orders"},
		{"postgres://app:hunter2@[::1]:5432/orders", "postgres://app:xxxxx@[::1]:5432/orders"},
		{"postgres://app:hunter2@%2Fvar%2Frun%2Fpostgresql/orders", "postgres://app:xxxxx@%2Fvar%2Frun%2Fpostgresql/orders"},
		{"postgres://app:hunter2@/orders?host=/tmp", "postgres://app:xxxxx@/orders?host=/tmp"},
		{"postgres://app:p%40ss%2Fword@db/orders", "postgres://app:xxxxx@db/orders"},
		{"postgres://app:hun?ter2@db/orders", "postgres://app:xxxxx@db/orders"},
		{"postgres://app:hun:ter2@db/orders", "postgres://app:xxxxx@db/orders"},
		{"postgres://b%C3%BCro@db/b%C3%BCcher", "postgres://b%C3%BCro@db/b%C3%BCcher"},
		{"postgres://app%40tenant:hunter2@db/orders", "postgres://app%40tenant:xxxxx@db/orders"},
		{"postgres://db/orders?user=app&password=hunter2", "postgres://db/orders?user=app&password=xxxxx"},
		{"postgres://db/orders?pass%77ord=hunter2&sslpassword=hunter2", "postgres://db/orders?password=xxxxx&sslpassword=xxxxx"},
		{"postgres://db/orders?vault.token=hunter2&search_path=a,b", "postgres://db/orders?search_path=a,b"},
		{"postgres://db/orders?options=-c%20app.key%3Dhunter2", "postgres://db/orders?options=xxxxx"},
		{"postgres://db/orders?application_name=password%3Dhunter2", "postgres://db/orders?application_name=xxxxx"},
		{"postgres://app%3Ahunter2@db/orders", "postgres://xxxxx@db/orders"},
		{"postgres://", "postgres://"},
		// An @ that leaves doubt: the password may hold an unescaped @ or /.
		{"postgres://app:hun@ter2@db/orders", nothing},
		{"postgres://app:12/34@db/orders", nothing},
		{"postgres://app:12/3?4@db/orders", nothing},
		{"postgres://app:12/3?x=4@db/orders", nothing},
		{"postgres://app:hunter2@h1,app:123@h2/orders", nothing},
		// Not URLs that can be read.
		{"postgres://app:hun/ter2@db/orders", nothing},
		{"postgres://app:100%@db/orders", nothing},
		{"postgres://app:hunter2", nothing},
		{"postgres://app:hunter2@[::1/orders", nothing},
		{"postgres://app:hunter2@db/orders?sslmode", nothing},
		{"postgres://app:hunter2@db/orders?a=b=c", nothing},
		{"postgresql+asyncpg://app:hunter2@db/orders?password=x", nothing},
		{"mysql://app:hunter2@db/orders", nothing},
		{"POSTGRES://app:hunter2@db/orders", nothing},
		{" postgres://app:hunter2@db/orders", nothing},
		{`"postgres://app:hunter2@db/orders"`, nothing},
		{"app:hunter2@db/orders", nothing},
		{"postgres://app:hunter2@db/orders\x00", nothing},
		// Keyword/value.
		{"host=db user=app password=hunter2 dbname=orders", "host=db user=app password=xxxxx dbname=orders"},
		{"host=/var/run/postgresql dbname=orders", "host=/var/run/postgresql dbname=orders"},
		{"host=h1,h2 port=5432,5433 dbname=orders", "host=h1,h2 port=5432,5433 dbname=orders"},
		{"host = db  password = 'hun ter\\'2' user=app", "host=db password=xxxxx user=app"},
		{"user=app@tenant host=db", "user=app@tenant host=db"},
		{"application_name='orders api' password=''", "application_name='orders api' password=xxxxx"},
		{"database=orders sslpassword=hunter2", "dbname=orders sslpassword=xxxxx"},
		{"host=db sslkey='-----BEGIN PRIVATE KEY-----hunter2'", "host=db sslkey=xxxxx"},
		{"host=db passfile=db:5432:orders:app:hunter2", "host=db passfile=xxxxx"},
		{"host=db passfile=/etc/pgpass", "host=db passfile=/etc/pgpass"},
		{"host=db vault.token=hunter2", "host=db"},
		{"host=db passwd=hunter2 PASSWORD=hunter2", "host=db"},
		{"dbname=postgres://app:hunter2@db/orders", "dbname=xxxxx"},
		{"host=db;user=app;password=hunter2", nothing},
		{"Host=db;Username=app;Password=hunter2", nothing},
		{"password=hun ter2 host=db", nothing},
		{"password='hunter2", nothing},
		{"host=db port=hunter2", nothing},
		{"host=db port=0", nothing},
		{"host=db port=1,2", nothing},
		{"jdbc:postgresql://db/orders?user=app&password=hunter2", nothing},
		{"hunter2", nothing},
	}
	for _, test := range tests {
		if got := DSN(test.dsn).Redacted(); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.dsn, got, test.want)
		}
	}
}

// What Validate says of a connection string: the rule, never the string.
func TestDatabaseURLProblems(t *testing.T) {
	tests := []struct{ dsn, rule string }{
		{"postgres://app:hunter2@db/orders?sslmode=verify-full", ""},
		{"postgres://app:hunter2@h1,h2:5433/orders", ""},
		{"postgres://app:hunter2@[::1]/orders?connect_timeout=3&", ""},
		{"host=db user=app password='hun=ter 2' statement_timeout='30 s'", ""},
		{"postgres://", ""},
		{"host=db\nuser=app", ""},
		{"postgresql+asyncpg://app:hunter2@db/orders?ssl=require", "has a scheme other than postgres://"},
		{"jdbc:postgresql://db/orders?user=app", "has a scheme other than postgres://"},
		{"Postgres://app:hunter2@db/orders", "has a scheme other than postgres://"},
		{`"postgres://app:hunter2@db/orders"`, "begins with a quotation mark"},
		{"'host=db'", "begins with a quotation mark"},
		{" postgres://app:hunter2@db/orders", "begins with a space"},
		{"postgres://app:hunter2@db/orders\n", "holds a line break or another control character"},
		{"postgres://app:hun ter2@db/orders", "has a space that is not written %20"},
		{"postgres://app:100%@db/orders", "has a % that two hexadecimal digits do not follow; a % itself is written %25"},
		{"postgres://app:hunter2%00@db/orders", "holds a zero byte"},
		{"host=db\x00", "holds a zero byte"},
		{"postgres://app:hun/ter2@db/orders", "holds a / before the @, probably in the password"},
		{"postgres://db:65536/orders", "has a port that is not a number from 1 to 65535"},
		{"host=h1,h2,h3 port=1,2", "has 2 ports for 3 hosts"},
		{"postgres://app:hunter2@[::1/orders", "has an IPv6 address that is not [address] or [address]:port"},
		{"postgres://app:hunter2@[]/orders", "has an IPv6 address that is not [address] or [address]:port"},
		{"postgres://app:hunter2@[::1]5432/orders", "has an IPv6 address that is not [address] or [address]:port"},
		{"postgres://db/orders?sslmode", "has a query that is not keyword=value&keyword=value"},
		{"postgres://db/orders?password=hunter=2", "has a query that is not keyword=value&keyword=value"},
		{"hunter2", "is neither a postgres:// URL nor keyword=value pairs"},
		{"password=hunter 2 host=db", "is neither a postgres:// URL nor keyword=value pairs"},
		{"=hunter2", "is neither a postgres:// URL nor keyword=value pairs"},
		{"password='hunter2", "has a quote that is not closed"},
		{"host=db sslmode=on", "has an unknown sslmode"},
		{"host=db connect_timeout=3s", "has a connect_timeout that is not a number of seconds"},
		{"host=db statement_timeout=soon", "has a statement_timeout (PGOPTIONS included) that is not a time"},
		{"host=db options='-c statement_timeout=-1'", "has a statement_timeout (PGOPTIONS included) that is not a time"},
	}
	for _, test := range tests {
		c := Default()
		c.DatabaseURL = DSN(test.dsn)
		err := c.Validate()
		if test.rule == "" {
			if err != nil {
				t.Errorf("%s: %v", test.dsn, err)
			}
			continue
		}
		problems := problemsOf(t, err)
		if len(problems) != 1 || problems[0].Variable != "DATABASE_URL" || problems[0].Rule != test.rule || problems[0].Remedy == "" {
			t.Errorf("%s: got %v, want %s", test.dsn, problems, test.rule)
		}
		if strings.Contains(err.Error(), "hunter") {
			t.Errorf("the report holds the password: %v", err)
		}
	}
}

func TestDatabaseURLProblemsAllAtOnce(t *testing.T) {
	c := Default()
	c.DatabaseURL = "host=db port=x sslmode=on connect_timeout=x statement_timeout=x"
	if got := len(problemsOf(t, c.Validate())); got != 4 {
		t.Errorf("got %d problems, want 4: %v", got, c.Validate())
	}
}
