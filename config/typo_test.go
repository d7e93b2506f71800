package config

import (
	"strings"
	"testing"
)

func TestMisspeltVariables(t *testing.T) {
	for name, meant := range map[string]string{
		"DB_POOL_SZIE":              "DB_POOL_SIZE",
		"DB_POOLSIZE":               "DB_POOL_SIZE",
		"DBPOOL_SIZE":               "DB_POOL_SIZE",
		"DBPOOLSIZE":                "DB_POOL_SIZE",
		"DB_POOL_SIZES":             "DB_POOL_SIZE",
		"DB_POL_SZIE":               "DB_POOL_SIZE",
		"DB_POL_SZIEE":              "", // three errors in twelve letters
		"DB_SIZE_POOL":              "DB_POOL_SIZE",
		"db_pool_size":              "DB_POOL_SIZE",
		"DB_MAX_OVERFLOWS":          "DB_MAX_OVERFLOW",
		"DB_MAXOVERFLOW":            "DB_MAX_OVERFLOW",
		"DB_OVERFLOW_MAX":           "DB_MAX_OVERFLOW",
		"DB_POOL_TIMOUT":            "DB_POOL_TIMEOUT",
		"DB_POOL_RECYLE":            "DB_POOL_RECYCLE",
		"DB_CONNECTION_TIMEOUT":     "DB_CONNECT_TIMEOUT",
		"DB_STATEMENT_TIMEOUTS":     "DB_STATEMENT_TIMEOUT",
		"DB_EVN":                    "DB_ENV",
		"ENABLE_POOL_MONITOR":       "ENABLE_POOL_MONITORING",
		"ENABLE_POOLMONITORING":     "ENABLE_POOL_MONITORING",
		"LOG_POOL_STATUS_INTERVALL": "LOG_POOL_STATUS_INTERVAL",
		"LOG_POOLSTATUS_INTERVAL":   "LOG_POOL_STATUS_INTERVAL",
		"MAX_CONNECTION_WARNING":    "MAX_CONNECTION_WARNINGS",
		"MAX_CONNECTIONS_WARNING":   "MAX_CONNECTION_WARNINGS",
		"DATABASE_ULR":              "DATABASE_URL",

		// Variables of others, in common use.
		"DB_HOST": "", "DB_PORT": "", "DB_USER": "", "DB_USERNAME": "", "DB_PASSWORD": "", "DB_PASS": "",
		"DB_NAME": "", "DB_DATABASE": "", "DB_URL": "", "DB_DSN": "", "DB_DRIVER": "", "DB_CONNECTION": "",
		"DB_POOL": "", "DB_POOL_MIN": "", "DB_POOL_MAX": "", "DB_POOL_PRE_PING": "", "DB_ECHO": "",
		"DB_SCHEMA": "", "DB_TYPE": "", "DB_TIMEOUT": "", "DB_SSLMODE": "", "DB_SSL": "", "DB_ENGINE": "",
		"DB_MAX_CONNECTIONS": "", "DB_MAX_IDLE": "", "DB_MAX_OPEN_CONNS": "", "DB_MAX_IDLE_CONNS": "",
		"DB_TEST": "", "DB_DEV": "", "DB_LOG": "", "DB_URI": "", "DB_MIGRATE": "", "DATABASE_HOST": "",
		"DATABASE_NAME": "", "DATABASE_PASSWORD": "", "DATABASE_USER": "", "DATABASE_PORT": "",
		"MAX_CONNECTIONS": "", "LOG_LEVEL": "", "PATH": "", "ENABLE_METRICS": "", "": "",
	} {
		var got string
		if problems := typos(map[string]string{name: "x"}); len(problems) > 0 {
			got = problems[0].Remedy
		}
		if meant == "" && got != "" || !strings.Contains(got, meant) {
			t.Errorf("%s: got %q, want %q", name, got, meant)
		}
	}
}

func TestOwnVariablesAreNotMisspelt(t *testing.T) {
	environ := make(map[string]string)
	for _, v := range Variables() {
		environ[v.Name] = "x"
	}
	if problems := typos(environ); len(problems) > 0 {
		t.Errorf("got %v", problems)
	}
}

// The way out for a service that has such a variable for something else.
func TestNearMissIsLeftAloneBesideTheRealOne(t *testing.T) {
	_, err := From(with("DB_POOLSIZE", "many"))
	if err == nil || strings.Contains(err.Error(), "many") {
		t.Errorf("alone: got %v", err)
	}
	if _, err := From(with("DB_POOLSIZE", "many", "DB_POOL_SIZE", "5")); err != nil {
		t.Errorf("beside DB_POOL_SIZE: got %v", err)
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "AB", 2}, {"AB", "", 2}, {"SIZE", "SIZE", 0},
		{"SIZE", "SZIE", 1}, {"SIZE", "SIZ", 1}, {"SIZE", "SIZES", 1}, {"SIZE", "SITE", 1},
		{"CA", "ABC", 3}, {"POOL", "LOOP", 2},
	}
	for _, test := range tests {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
