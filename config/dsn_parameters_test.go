package config

import (
	"strings"
	"testing"
)

// Parameters of other programs are refused with what to do instead, libpq's own
// that mean nothing here are ignored with a warning, and the server's pass.
func TestParameters(t *testing.T) {
	tests := []struct{ query, rule, remedy string }{
		{"pool_max_conns=4", "has pool_max_conns, which is a parameter of pgxpool and not known here", "set DB_POOL_SIZE and DB_MAX_OVERFLOW"},
		{"connection_limit=4", "has connection_limit, which is a parameter of Prisma", "set DB_POOL_SIZE and DB_MAX_OVERFLOW"},
		{"pgbouncer=true", "has pgbouncer, which is a parameter of Prisma", "set DB_POOLER=pgbouncer"},
		{"schema=public", "has schema, which is a parameter of Prisma", "set search_path instead"},
		{"sslaccept=strict", "has sslaccept, which is a parameter of Prisma", "sslmode=verify-full for strict"},
		{"currentSchema=a", "has currentSchema, which is a parameter of JDBC", "set search_path instead"},
		{"reWriteBatchedInserts=true", "has reWriteBatchedInserts, which is a parameter of JDBC", "take it out"},
		{"ssl=require", "has ssl, which is a parameter of another driver", "set sslmode instead"},
		{"sslcrl=/x", "has sslcrl, which is a parameter of libpq", "check revocation"},
		{"gssencmode=require", "has gssencmode, which is a parameter of libpq", "encrypt with TLS"},
		{"sslmod=require", "has an unknown parameter, sslmod", "write sslmode if that is meant"},
		{"SSLMODE=require", "has an unknown parameter, SSLMODE", "write sslmode if that is meant"},
		{"aplication_name=x", "has an unknown parameter, aplication_name", "write application_name if that is meant"}, //nolint:misspell // meant
		{"statement-timeout=3", "has an unknown parameter, statement-timeout", "write statement_timeout if that is meant"},
		{"wholly_made_up=3", "has an unknown parameter, wholly_made_up", "take it out"},
		{"client_encoding=latin1", "has a client_encoding other than UTF8", "take it out"},
		{"a.b-c=1", "has a parameter that is not known", "take it out"},
		{"fallback_application_name=x", "", ""},
		{"keepalives=1", "", ""},
		{"keepalives_idle=30", "", ""},
		{"gssencmode=prefer", "", ""},
		{"ssl=true", "", ""},
		{"TimeZone=UTC", "", ""},
		{"search_path=a", "", ""},
		{"app.tenant=7", "", ""},
		{"jit=off", "", ""},
		{"client_encoding=utf-8", "", ""},
		{"default_query_exec_mode=exec", "", ""},
	}
	for _, test := range tests {
		keyword, value, _ := strings.Cut(test.query, "=")
		for _, dsn := range []string{"postgres://app:pw@h/d?sslmode=disable&" + test.query, "host=h " + keyword + "='" + value + "'"} {
			_, err := From(map[string]string{"DATABASE_URL": dsn})
			if test.rule == "" {
				if err != nil && dsn != "host=h ssl='true'" {
					t.Errorf("%s: %v", dsn, err)
				}
				continue
			}
			p := problemsOf(t, err)
			if len(p) != 1 || !strings.HasPrefix(p[0].Rule, test.rule) || !strings.HasPrefix(p[0].Remedy, test.remedy) && !strings.Contains(p[0].Remedy, test.remedy) {
				t.Errorf("%s:\n got %v\nwant %s; %s", dsn, p, test.rule, test.remedy)
			}
		}
	}
}

// Each name is in one table only, in lower case, and has a remedy where it is refused.
func TestForeignParameters(t *testing.T) {
	for name, f := range foreigners() {
		if name != strings.ToLower(name) || f.owner == "" || f.remedy == "" && (f.tolerated == nil || f.tolerated[0] != "*") {
			t.Errorf("%s: %+v", name, f)
		}
		if isServerSetting(name) {
			t.Errorf("%s is a setting of the server", name)
		}
		for _, own := range connectionKeywords() {
			if own == name {
				t.Errorf("%s is known", name)
			}
		}
		if Ignored(name) != (f.tolerated != nil) {
			t.Errorf("%s: ignored %v", name, Ignored(name))
		}
	}
}

func TestIgnoredParametersAreToldOf(t *testing.T) {
	c, err := From(map[string]string{"DATABASE_URL": "postgres://h/d?keepalives=1&sslmode=disable&keepalives_idle=3"})
	if err != nil {
		t.Fatal(err)
	}
	want := "DATABASE_URL: has parameters of libpq that mean nothing here and are ignored: keepalives, keepalives_idle; take them out"
	if w := c.Warnings(); len(w) != 1 || w[0].String() != want {
		t.Errorf("got %v", w)
	}
	if w := Default().Warnings(); len(w) != 0 {
		t.Errorf("got %v", w)
	}
}

// fallback_application_name counts where nothing else names the application.
func TestFallbackApplicationName(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://h/d?fallback_application_name=f":                    "f",
		"postgres://h/d?fallback_application_name=f&application_name=a": "a",
		"postgres://h/d": "db",
	} {
		c := Default()
		if c.DatabaseURL = DSN(dsn); c.ResolvedApplicationName() != want {
			t.Errorf("%s: %s", dsn, c.ResolvedApplicationName())
		}
	}
}
