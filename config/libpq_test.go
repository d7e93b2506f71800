package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestLibpqVariablesFillIn(t *testing.T) {
	tests := []struct {
		url     string
		environ map[string]string
		want    string
	}{
		{"postgres://app:pw@db:5433/orders?application_name=a",
			map[string]string{"PGUSER": "x", "PGPASSWORD": "x", "PGHOST": "x", "PGPORT": "1", "PGDATABASE": "x", "PGAPPNAME": "x"},
			"postgres://app:pw@db:5433/orders?application_name=a"},
		{"postgres://db", map[string]string{"PGUSER": "app", "PGPASSWORD": "a b&c=d/é'"},
			"postgres://db?user=app&password=a%20b%26c%3Dd%2F%C3%A9%27"},
		{"postgres://db/?", map[string]string{"PGDATABASE": "orders"}, "postgres://db/?dbname=orders"},
		{"postgres://db?sslmode=disable", map[string]string{"PGPORT": "5433"}, "postgres://db?sslmode=disable&port=5433"},
		{"postgres://db?sslmode=disable&", map[string]string{"PGPORT": "5433"}, "postgres://db?sslmode=disable&port=5433"},
		{"postgres://a:b?c@db", map[string]string{"PGPORT": "5433"}, "postgres://a:b?c@db?port=5433"},
		{"postgres://db?ssl=true", map[string]string{"PGSSLMODE": "disable"}, "postgres://db?ssl=true"},
		{"postgres://h1,h2", map[string]string{"PGPORT": "5433"}, "postgres://h1,h2"}, // libpq: each its default port
		{"host=db", map[string]string{"PGPASSWORD": `it's a \`}, `password='it\'s a \\' host=db`},
		{`host=db\`, map[string]string{"PGUSER": "app"}, `user='app' host=db\`},
		{"host=db password=''", map[string]string{"PGPASSWORD": "x"}, "host=db password=''"},
		{"host=db user=''", map[string]string{"PGUSER": "app"}, "user='app' host=db user=''"},
		{"host=db database=orders", map[string]string{"PGDATABASE": "x"}, "host=db database=orders"},
		{"", map[string]string{"PGHOST": "/tmp", "PGDATABASE": "orders"}, "host='/tmp' dbname='orders'"},
		{"", map[string]string{"PGHOST": "h1,h2", "PGPORT": "1,2"}, "host='h1,h2' port='1,2'"},
		{"host=db", map[string]string{"PGUSER": "", "PGHOSTADDR": "127.0.0.1", "PGDATESTYLE": "x"}, "host=db"},
	}
	for _, test := range tests {
		environ := maps.Clone(test.environ)
		environ["DATABASE_URL"] = test.url
		c, err := From(environ)
		if err != nil || string(c.DatabaseURL) != test.want {
			t.Errorf("%s with %v:\ngot  %s, %v\nwant %s", test.url, test.environ, string(c.DatabaseURL), err, test.want)
		}
	}
}

func TestLibpqProblemsNameTheirVariable(t *testing.T) {
	_, err := From(map[string]string{
		"PGHOST": "db", "PGPORT": "postgres", "PGSSLMODE": "on", "PGCONNECT_TIMEOUT": "3s", "PGUSER": "a\x00b",
	})
	want := `config: PGPORT: is not a port from 1 to 65535; set the server's port, such as 5432
config: PGUSER: holds a zero byte; remove it
config: PGSSLMODE: "on" is no sslmode; use disable, allow, prefer, require, verify-ca or verify-full
config: PGCONNECT_TIMEOUT: "3s" is not a number of seconds; set a whole number, or DB_CONNECT_TIMEOUT instead`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	// Where the connection string has its own, libpq would not look either.
	if _, err := From(map[string]string{"DATABASE_URL": "host=db port=1", "PGPORT": "postgres"}); err != nil {
		t.Errorf("a variable that is not used is refused: %v", err)
	}
}

// A string that is broken is reported as it was written, not as completed.
func TestBrokenURLIsNotCompleted(t *testing.T) {
	for _, url := range []string{"mysql://app:hunter2@db/orders?x=y", " postgres://db", "'host=db'", "password='"} {
		_, err := From(map[string]string{"DATABASE_URL": url, "PGUSER": "app", "PGPORT": "x"})
		problems := problemsOf(t, err)
		if len(problems) != 1 || problems[0].Variable != "DATABASE_URL" {
			t.Errorf("%s: got %v", url, problems)
		}
	}
}

func TestServiceFileComesBeforeLibpqVariables(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pg_service.conf")
	content := "# services\n[other]\npassword=x\n\n[orders]\nhost = db\ndatabase=orders\n#user=x\n[last]\nport=1\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".pg_service.conf"), []byte("[home]\nuser=app\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ url, service, want string }{
		{"", "orders", "service='orders' servicefile='" + file + "' port='1' user='u' password='p'"},
		{"postgres://?service=orders", "other", "postgres://?service=orders&servicefile=" + escape(file) + "&port=1&user=u&password=p"},
		{"service=home servicefile=" + home + "/.pg_service.conf", "orders",
			"host='x' port='1' password='p' dbname='x' service=home servicefile=" + home + "/.pg_service.conf"},
	}
	for _, test := range tests {
		c, err := From(map[string]string{
			"DATABASE_URL": test.url, "PGSERVICE": test.service, "PGSERVICEFILE": file, "HOME": home,
			"PGHOST": "x", "PGPORT": "1", "PGDATABASE": "x", "PGUSER": "u", "PGPASSWORD": "p",
		})
		if err != nil || string(c.DatabaseURL) != test.want {
			t.Errorf("%s and PGSERVICE=%s:\ngot  %s, %v\nwant %s", test.url, test.service, string(c.DatabaseURL), err, test.want)
		}
	}
	c, err := From(map[string]string{"PGSERVICE": "home", "HOME": home, "PGUSER": "x"})
	if err != nil || string(c.DatabaseURL) != "service='home'" {
		t.Errorf("in the home directory: got %s, %v", string(c.DatabaseURL), err)
	}
}

func TestServiceProblems(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pg_service.conf")
	if err := os.WriteFile(file, []byte("[orders]\nhost=db\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ url, service, file, variable, rule string }{
		{"", "hunter2", file, "PGSERVICE", "names a service that is not in the service file"},
		{"", "orders", file + ".gone", "PGSERVICE", "names a service, but the service file cannot be read"},
		{"service=hunter2", "orders", file, "DATABASE_URL", "names a service that is not in the service file"},
	}
	for _, test := range tests {
		_, err := From(map[string]string{"DATABASE_URL": test.url, "PGSERVICE": test.service, "PGSERVICEFILE": test.file})
		problems := problemsOf(t, err)
		if len(problems) != 1 || problems[0].Variable != test.variable || problems[0].Rule != test.rule {
			t.Errorf("%v: got %v", test, problems)
		}
	}
}

// setLibpq makes environ the only PG* variables of this process, where pgx
// looks for them.
func setLibpq(t *testing.T, environ map[string]string) {
	t.Helper()
	for _, v := range libpqVariables() {
		t.Setenv(v.name, environ[v.name])
		if environ[v.name] == "" {
			os.Unsetenv(v.name)
		}
	}
}

// summary writes what pgx made of a connection string, in one comparable line.
func summary(c *pgconn.Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %q %q %q tls=%t timeout=%v validate=%t %q", c.Host, c.Port, c.Database, c.User, c.Password,
		c.TLSConfig != nil, c.ConnectTimeout, c.ValidateConnect != nil, c.ChannelBinding+c.RequireAuth+c.SSLNegotiation)
	for _, f := range c.Fallbacks {
		fmt.Fprintf(&b, " or %s %d tls=%t", f.Host, f.Port, f.TLSConfig != nil)
	}
	for _, keyword := range slices.Sorted(maps.Keys(c.RuntimeParams)) {
		fmt.Fprintf(&b, " %s=%q", keyword, c.RuntimeParams[keyword])
	}
	return b.String()
}

// comparePgx has pgx read dsn with environ in the process, and what this
// package makes of both with an empty one. The two must agree.
func comparePgx(t *testing.T, dsn string, environ map[string]string) {
	t.Helper()
	setLibpq(t, environ)
	want, wantErr := pgconn.ParseConfig(dsn)

	c := Default()
	c.DatabaseURL = DSN(dsn)
	problems := append(c.complete(environ), c.problems()...)
	if wantErr != nil || len(problems) > 0 {
		// We refuse more than pgx does; it must not be the other way round for
		// want of a parser that understands the string.
		if wantErr == nil && len(problems) == 1 && problems[0].Remedy == writeDSN && !strings.Contains(dsn, "[") {
			t.Errorf("%q with %q is good enough for pgx: %v", dsn, environ, problems)
		}
		return
	}
	setLibpq(t, nil)
	got, err := pgconn.ParseConfig(string(c.DatabaseURL))
	if err != nil {
		t.Errorf("%q with %q became %q, which pgx refuses: %v", dsn, environ, string(c.DatabaseURL), err)
		return
	}
	if summary(got) != summary(want) {
		t.Errorf("%q with %q became %q\ngot  %s\nwant %s", dsn, environ, string(c.DatabaseURL), summary(got), summary(want))
	}
}

func TestCompletedAsPgxWould(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	everything := map[string]string{
		"PGHOST": "env.example.com", "PGPORT": "6543", "PGUSER": "envuser", "PGPASSWORD": `s p'a\c/e@?%&=`,
		"PGDATABASE": "envdb", "PGAPPNAME": "env app", "PGSSLMODE": "disable", "PGCONNECT_TIMEOUT": "7",
		"PGOPTIONS": `-c search_path=a\ b`, "PGTZ": "Europe/Berlin", "PGTARGETSESSIONATTRS": "read-write",
		"PGCHANNELBINDING": "disable", "PGREQUIREAUTH": "scram-sha-256", "PGSSLNEGOTIATION": "postgres",
		"PGMINPROTOCOLVERSION": "3.0", "PGMAXPROTOCOLVERSION": "3.2", "PGSSLSNI": "0", "PGSSLCERTMODE": "disable",
	}
	for _, dsn := range []string{
		"", "postgres://", "postgres:///", "postgres://db", "postgres://db/", "postgres://db/orders", "postgres://app@db",
		"postgres://app:pw@db:5433/orders", "postgres://:pw@db", "postgres://app:@db", "postgres://@db", "postgres://:5433",
		"postgres://h1,h2", "postgres://h1:1,h2:2/x", "postgres://h1,h2:2/x", "postgres://[::1]:5433,[fe80::1]",
		"postgres://%2Ftmp/orders", "postgres:///orders?host=/tmp&port=5433", "postgres://db?user=&password=&dbname=",
		"postgres://db?ssl=true", "postgres://db?sslmode=disable&ssl=true", "postgres://db?ssl=true&sslmode=disable",
		"postgres://a%40b:p%3Aw%2F@db/d%20b?application_name=x%20y&options=-c%20a%3Db", "postgres://db?x.y=z&search_path=a,b&",
		"postgres://a:b?c@db", "postgres://a:b:c@db", "postgres://a+b:c+d@db/e+f", "postgres:// db / orders ? application_name = x ", "postgresql://db?database=x",
		" ", "host=db", "host=db user=''", "host=db password=''", "host='d_b' port=5433 password='it\\'s'", "host=db database=x",
		`host=db\`, `password=a\ b`, "host = db  user= app", "host=db host=db2", "sslmode=require", "host='a'port=1", "host=h1,h2 port=1,2",
	} {
		comparePgx(t, dsn, everything)
		comparePgx(t, dsn, map[string]string{"PGHOST": "h1,h2", "PGPORT": "1,2"})
		comparePgx(t, dsn, nil)
	}
}

// pgx is the judge of what a connection string means, alone and together with
// libpq's variables.
func FuzzCompletedAsPgxWould(f *testing.F) {
	f.Add("postgres://app:pw@h1,h2:5433/orders?application_name=x", "db", "5432", "app", "p'w")
	f.Add("host=db password='it\\'s' user=''", "", "", "app", "x y")
	f.Add("postgres://db?ssl=true&", "/tmp", "1,2", "", "%")
	f.Add("postgres://[::1]:1/x?dbname=y", "a", "", "\\", "'")
	f.Fuzz(func(t *testing.T, dsn, host, port, user, password string) {
		environ := map[string]string{"PGHOST": host, "PGPORT": port, "PGUSER": user, "PGPASSWORD": password}
		for _, value := range environ {
			if strings.Contains(value, "\x00") {
				return // not possible in an environment
			}
		}
		said, _ := DSN(dsn).settings()
		for keyword := range said {
			if strings.Contains(keyword, "file") || strings.Contains(keyword, "ssl") || strings.Contains(keyword, "service") {
				return // pgx would open a file of the fuzzer's choice
			}
		}
		t.Setenv("HOME", "/nonexistent")
		comparePgx(t, dsn, environ)
	})
}
