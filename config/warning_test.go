package config

import (
	"fmt"
	"strings"
	"testing"
)

// A number that looks like another unit's is accepted, with one warning that says
// what it means and what was probably meant.
func TestWrongUnits(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"DB_STATEMENT_TIMEOUT", "30", "30 means 30ms, which is very short; set 30s if that was meant, or set 30ms if it is right as it is"},
		{"DB_STATEMENT_TIMEOUT", "120", "120 means 120ms, which is very short; set 2m if that was meant, or set 120ms if it is right as it is"},
		{"DB_POOL_TIMEOUT", "5000", "5000 means 1h23m20s, which is very long; set 5s if that was meant, or set 5000s if it is right as it is"},
		{"DB_POOL_RECYCLE", "300000", "300000 means 83h20m0s, which is very long; set 5m if that was meant, or set 300000s if it is right as it is"},
		{"DB_POOL_RECYCLE", "5", "5 means 5s, which is very short; set 5m if that was meant, or set 5s if it is right as it is"},
		{"DB_CONNECT_TIMEOUT", "3000", "3000 means 50m0s, which is very long; set 3s if that was meant, or set 3000s if it is right as it is"},
		{"DB_OVERFLOW_LINGER", "30000", "30000 means 8h20m0s, which is very long; set 30s if that was meant, or set 30000s if it is right as it is"},
		{"DB_LEAK_THRESHOLD", "60000", "60000 means 16h40m0s, which is very long; set 1m if that was meant, or set 60000s if it is right as it is"},
		{"DB_POOL_TIMEOUT", "0.01", "0.01 means 10ms, which is very short; set 0.01s if it is right as it is"},
		{"LOG_POOL_STATUS_INTERVAL", "300000", "300000 means 83h20m0s, which is very long; set 5m if that was meant, or set 300000s if it is right as it is"},
		{"DB_STATEMENT_TIMEOUT", "30ms", ""},
		{"DB_STATEMENT_TIMEOUT", "0", ""},
		{"DB_STATEMENT_TIMEOUT", "1000", ""},
		{"DB_POOL_TIMEOUT", "5000s", ""},
		{"DB_POOL_TIMEOUT", "60", ""},
		{"DB_POOL_RECYCLE", "3600", ""},
	} {
		c, err := From(with(test.name, test.value))
		if err != nil {
			t.Errorf("%s=%s: %v", test.name, test.value, err)
		}
		want := "[]"
		if test.want != "" {
			want = "[" + test.name + ": " + test.want + "]"
		}
		if got := fmt.Sprint(c.Warnings()); got != want {
			t.Errorf("%s=%s:\n got %s\nwant %s", test.name, test.value, got, want)
		}
	}
}

// So it is in a connection string, where the units are libpq's and the server's.
func TestWrongUnitsOfConnectionStrings(t *testing.T) {
	for dsn, want := range map[string]string{
		"host=h statement_timeout=30 connect_timeout=5000": "[DATABASE_URL: connect_timeout 5000 means 1h23m20s, which is very long; set DB_CONNECT_TIMEOUT, which takes a unit, and take it out" +
			" DATABASE_URL: statement_timeout 30 means 30ms, which is very short; set DB_STATEMENT_TIMEOUT, which takes a unit, and take it out]",
		"host=h options='-c statement_timeout=30'":        "[DATABASE_URL: statement_timeout 30 means 30ms, which is very short; set DB_STATEMENT_TIMEOUT, which takes a unit, and take it out]",
		"host=h statement_timeout=30s connect_timeout=10": "[]",
		"host=h statement_timeout=0 connect_timeout=0":    "[]",
	} {
		c := Default()
		c.DatabaseURL = DSN(dsn)
		if got := fmt.Sprint(c.Warnings()); got != want {
			t.Errorf("%s:\n got %s\nwant %s", dsn, got, want)
		}
	}
}

// The presets' own numbers raise no eyebrow.
func TestPresetsAreInTheRightUnits(t *testing.T) {
	for _, preset := range []string{"default", "production", "development", "serverless"} {
		environ := with("DB_ENV", preset)
		for _, v := range Variables() {
			value := map[string]string{"default": v.Default, "production": v.Production, "development": v.Development, "serverless": v.Serverless}[preset]
			if v.Field != "" && value != "" {
				environ[v.Name] = value
			}
		}
		if c, err := From(environ); err != nil || len(c.Warnings()) != 0 {
			t.Errorf("%s: %v, %v", preset, c.Warnings(), err)
		}
	}
}

// A near miss beside the variable that it resembles is noticed and not refused.
func TestShadowedVariables(t *testing.T) {
	for _, test := range []struct {
		environ map[string]string
		want    string
	}{
		{with("DB_POOLSIZE", "9", "DB_POOL_SIZE", "5"), "DB_POOLSIZE: is not a variable of this library and does nothing; DB_POOL_SIZE is set and counts"},
		{with("DB_POOL_MAX_OVERFLOW", "9"), "DB_POOL_MAX_OVERFLOW: is not a variable of this library and does nothing; set DB_MAX_OVERFLOW if that is meant"},
		{with("DB_MAX_POOL_SIZE", "9"), "DB_MAX_POOL_SIZE: is not a variable of this library and does nothing; set DB_POOL_SIZE if that is meant"},
		{with("DB_STATEMENT_TIMEOUT_MILLIS", "9"), "DB_STATEMENT_TIMEOUT_MILLIS: is not a variable of this library and does nothing; set DB_STATEMENT_TIMEOUT if that is meant"},
		{with("DB_POOL_SIZE", "5", "DB_HOST", "h", "DATABASE_URL_REPLICA", "x", "DB_POOL", "5"), ""},
	} {
		c, err := From(test.environ)
		if got := strings.Trim(fmt.Sprint(c.Warnings()), "[]"); err != nil || got != test.want {
			t.Errorf("got %s, %v\nwant %s", got, err, test.want)
		}
	}
}

// Copies keep the warnings, and a Config remains comparable.
func TestWarningsStay(t *testing.T) {
	environ := with("DB_STATEMENT_TIMEOUT", "30", "DB_POOL_TIMEOUT", "5000")
	a, _ := From(environ)
	b := a
	again, _ := From(environ)
	if len(b.Warnings()) != 2 || a != again {
		t.Errorf("%v", b.Warnings())
	}
}
