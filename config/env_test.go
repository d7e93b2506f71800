package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

const someURL = "postgres://app@db.example.com/orders"

// with returns an environment that has a database and the given variables.
func with(namesAndValues ...string) map[string]string {
	environ := map[string]string{"DATABASE_URL": someURL}
	for i := 0; i < len(namesAndValues); i += 2 {
		environ[namesAndValues[i]] = namesAndValues[i+1]
	}
	return environ
}

// problemsOf returns the problems of an error, which must be an *Error.
func problemsOf(t *testing.T, err error) []Problem {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *Error", err)
	}
	return e.Problems
}

func TestNothingSetIsThePreset(t *testing.T) {
	for name, want := range map[string]Config{
		"":            Default(),
		"default":     Default(),
		"production":  Production(),
		"prod":        Production(),
		"development": Development(),
		"dev":         Development(),
	} {
		want.DatabaseURL = someURL
		got, err := From(with("DB_ENV", name))
		if err != nil || got != want {
			t.Errorf("DB_ENV=%q: got %v, %v, want %v", name, got, err, want)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("DB_ENV=%q is refused: %v", name, err)
		}
	}
}

// The figures are the starting document's; nothing else in the tests pins them.
func TestPresetsAreTheDocumented(t *testing.T) {
	c := Default()
	got := []any{c.PoolSize, c.MaxOverflow, c.PoolTimeout, c.PoolRecycle, c.ConnectTimeout,
		c.StatementTimeout, c.PoolMonitoring, c.LogPoolStatusInterval, c.MaxConnectionWarnings}
	want := []any{5, 5, 30 * time.Second, 300 * time.Second, 10 * time.Second,
		30000 * time.Millisecond, true, 300 * time.Second, 80}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("default: got %v, want %v", got, want)
	}
	if c := Production(); c.PoolSize != 3 || c.MaxOverflow != 3 || c.PoolRecycle != 600*time.Second {
		t.Errorf("production: got %v", c)
	}
	if c := Development(); c.PoolSize != 10 || c.MaxOverflow != 10 || c.PoolRecycle != 300*time.Second {
		t.Errorf("development: got %v", c)
	}
}

func TestVariablesWinOverThePreset(t *testing.T) {
	got, err := From(with("DB_ENV", "production", "DB_POOL_SIZE", "8"))
	if err != nil {
		t.Fatal(err)
	}
	if got.PoolSize != 8 || got.MaxOverflow != 3 || got.MaxOpen() != 11 {
		t.Errorf("got %d+%d, want 8+3", got.PoolSize, got.MaxOverflow)
	}
}

// Each variable sets its own field, in its own unit, and no other.
func TestEachVariableSetsItsField(t *testing.T) {
	tests := map[string]struct {
		value string
		set   func(*Config)
	}{
		"DATABASE_URL":             {"host=h", func(c *Config) { c.DatabaseURL = "host=h" }},
		"DB_POOL_NAME":             {"orders", func(c *Config) { c.Name = "orders" }},
		"DB_APPLICATION_NAME":      {"orders api", func(c *Config) { c.ApplicationName = "orders api" }},
		"DB_POOL_SIZE":             {"7", func(c *Config) { c.PoolSize = 7 }},
		"DB_MAX_OVERFLOW":          {"0", func(c *Config) { c.MaxOverflow = 0 }},
		"DB_MIN_IDLE":              {"3", func(c *Config) { c.MinIdle = 3 }},
		"DB_POOL_TIMEOUT":          {"7", func(c *Config) { c.PoolTimeout = 7 * time.Second }},
		"DB_POOL_RECYCLE":          {"7", func(c *Config) { c.PoolRecycle = 7 * time.Second }},
		"DB_CONNECT_TIMEOUT":       {"7", func(c *Config) { c.ConnectTimeout = 7 * time.Second }},
		"DB_STATEMENT_TIMEOUT":     {"7", func(c *Config) { c.StatementTimeout = 7 * time.Millisecond }},
		"DB_OVERFLOW_LINGER":       {"7", func(c *Config) { c.OverflowLinger = 7 * time.Second }},
		"DB_MAX_WAITERS":           {"7", func(c *Config) { c.MaxWaiters = 7 }},
		"DB_LEAK_THRESHOLD":        {"7", func(c *Config) { c.LeakThreshold = 7 * time.Second }},
		"DB_RECLAIM_AFTER":         {"7", func(c *Config) { c.ReclaimAfter = 7 * time.Second }},
		"DB_RESET":                 {"discard", func(c *Config) { c.Reset = ResetDiscard }},
		"DB_PIPELINE":              {"all", func(c *Config) { c.Pipeline = PipelineAll }},
		"DB_NESTED":                {"refuse", func(c *Config) { c.Nested = NestedRefuse }},
		"DATABASE_READ_URL":        {"host=h", func(c *Config) { c.ReadURL = "host=h" }},
		"DB_READ_SHARE":            {"7", func(c *Config) { c.ReadShare = "7" }},
		"DB_READ_WAIT":             {"7", func(c *Config) { c.ReadWait = 7 * time.Second }},
		"DB_POOLER":                {"pgbouncer", func(c *Config) { c.Pooler = PoolerPgBouncer }},
		"DB_FLEET":                 {"enforce", func(c *Config) { c.Fleet = FleetEnforce }},
		"DB_FLEET_REPLICAS":        {"7", func(c *Config) { c.FleetReplicas = 7 }},
		"DB_FLEET_SURGE":           {"7", func(c *Config) { c.FleetSurge = 7 }},
		"DB_FLEET_BUDGET":          {"50%", func(c *Config) { c.FleetBudget = "50%" }},
		"DB_FLEET_KEYSPACE":        {"7", func(c *Config) { c.FleetKeySpace = 7 }},
		"ENABLE_POOL_MONITORING":   {"false", func(c *Config) { c.PoolMonitoring = false }},
		"LOG_POOL_STATUS_INTERVAL": {"7", func(c *Config) { c.LogPoolStatusInterval = 7 * time.Second }},
		"MAX_CONNECTION_WARNINGS":  {"7", func(c *Config) { c.MaxConnectionWarnings = 7 }},
	}
	for _, v := range Variables() {
		test, ok := tests[v.Name]
		if !ok {
			if v.Field != "" {
				t.Errorf("%s is not tested", v.Name)
			}
			continue
		}
		want := Default()
		want.DatabaseURL = someURL
		test.set(&want)
		got, err := From(with(v.Name, test.value))
		got.noticed = "" // that 7 is little
		if err != nil || got != want {
			t.Errorf("%s=%s: got %v, %v\nwant %v", v.Name, test.value, got, err, want)
		}
	}
}

func TestEmptyVariableCountsAsUnset(t *testing.T) {
	environ := with("DB_POOL_SZIE", "")
	for _, v := range Variables() {
		if v.Name != "DATABASE_URL" {
			environ[v.Name] = ""
		}
	}
	got, err := From(environ)
	want := Default()
	want.DatabaseURL = someURL
	if err != nil || got != want {
		t.Errorf("got %v, %v, want the default", got, err)
	}
}

// Every variable with a type refuses what is not of it, once, by name, with
// the value and a remedy.
func TestUnreadableValues(t *testing.T) {
	bad := map[string][]string{
		"seconds":      {"abc", "30 s", " 30", "NaN", "Inf", "1e3", "0x10", "1_000", "--5", "1.2.3", ".", "s", "99999999999999999999", "9999999999h"},
		"milliseconds": {"abc", "30 s", "NaN", "1e3", "99999999999999999999"},
		"connections":  {"abc", "5.0", " 5", "1e3", "0x10", "1_000", "5s", "99999999999"},
		"callers":      {"abc", "99999999999"},
		"replicas":     {"abc", "99999999999"},
		"percent":      {"abc", "80%", "99999999999"},
	}
	for _, v := range Variables() {
		values := bad[v.Unit]
		if v.Name == "ENABLE_POOL_MONITORING" {
			values = []string{"yes", "on", "2"}
		}
		for _, value := range values {
			c, err := From(with(v.Name, value))
			problems := problemsOf(t, err)
			if len(problems) != 1 || problems[0].Variable != v.Name || problems[0].Remedy == "" ||
				!strings.Contains(problems[0].Rule, `"`+value+`"`) {
				t.Errorf("%s=%s: got %v", v.Name, value, problems)
			}
			if c != (Config{}) {
				t.Errorf("%s=%s: a Config came with the error: %v", v.Name, value, c)
			}
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := From(map[string]string{
		"DB_ENV":                   "staging",
		"DB_POOL_SZIE":             "3",
		"DB_POOL_SIZE":             "0",
		"DB_MAX_OVERFLOW":          "-1",
		"DB_POOL_TIMEOUT":          "30 s",
		"DB_POOL_RECYCLE":          "-1",
		"DB_CONNECT_TIMEOUT":       "9999999999999",
		"DB_STATEMENT_TIMEOUT":     "0.5",
		"DB_MAX_WAITERS":           "1e3",
		"DB_FLEET":                 "loose",
		"DB_FLEET_BUDGET":          "120%",
		"DB_FLEET_SURGE":           "99999999999",
		"DB_FLEET_REPLICA":         "2",
		"ENABLE_POOL_MONITORING":   "yes",
		"LOG_POOL_STATUS_INTERVAL": "0",
		"MAX_CONNECTION_WARNINGS":  "101",
	})
	want := `config: DB_ENV: "staging" is not a preset; use default, production, development or serverless
config: DATABASE_URL: is not set, nor is PGHOST or PGSERVICE; set it to postgres://user:password@host:5432/database
config: DB_POOL_SIZE: 0 means unlimited in SQLAlchemy and is refused here; set 1 or more
config: DB_MAX_OVERFLOW: -1 means unlimited in SQLAlchemy and is refused here; set 0 or more
config: DB_POOL_TIMEOUT: "30 s" is not a duration; set a number of seconds (30) or a duration (45s, 5m)
config: DB_POOL_RECYCLE: -1 means never in SQLAlchemy and is refused here; set more than 0, such as 300
config: DB_CONNECT_TIMEOUT: "9999999999999" is longer than a duration can be; set a number of seconds (10) or a duration (45s, 5m)
config: DB_STATEMENT_TIMEOUT: 500µs is not in whole milliseconds, which is all the server counts; set 1ms or more, or 0 for the server's own
config: DB_MAX_WAITERS: "1e3" is not a whole number; set a number of callers such as 0
config: DB_FLEET: "loose" is not known; use off, warn or enforce
config: DB_FLEET_SURGE: "99999999999" is out of range; set a number such as 1
config: DB_FLEET_BUDGET: "120%" is neither a number of connections nor a percentage; set 40 or 50%, say, or nothing for all of it
config: ENABLE_POOL_MONITORING: "yes" is neither true nor false; set true or false
config: LOG_POOL_STATUS_INTERVAL: 0s leaves no time at all; set more than 0
config: MAX_CONNECTION_WARNINGS: 101 is not a percentage to warn at; set 1 to 100
config: DB_FLEET_REPLICA: is not a variable of this library and does nothing; if DB_FLEET_REPLICAS is meant, rename it; if it belongs to something else, set DB_FLEET_REPLICAS too`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestResolvedApplicationName(t *testing.T) {
	tests := []struct {
		environ map[string]string
		want    string
	}{
		{with(), "db"},
		{with("DB_POOL_NAME", "orders"), "orders"},
		{with("DB_POOL_NAME", "orders", "PGAPPNAME", "libpq"), "libpq"},
		{with("PGAPPNAME", "libpq", "DATABASE_URL", someURL+"?application_name=in%20url"), "in url"},
		{with("PGAPPNAME", "libpq", "DB_APPLICATION_NAME", "own"), "own"},
	}
	for _, test := range tests {
		c, err := From(test.environ)
		if got := c.ResolvedApplicationName(); err != nil || got != test.want {
			t.Errorf("%v: got %q, %v, want %q", test.environ, got, err, test.want)
		}
	}
	if got := (Config{Name: "orders", DatabaseURL: "broken"}).ResolvedApplicationName(); got != "orders" {
		t.Errorf("with a broken connection string: got %q", got)
	}
}

func TestFromEnvReadsTheProcess(t *testing.T) {
	for _, v := range libpqVariables() {
		t.Setenv(v.name, "")
	}
	for _, v := range Variables() {
		t.Setenv(v.Name, "")
	}
	t.Setenv("DATABASE_URL", someURL)
	t.Setenv("DB_POOL_SIZE", "9")
	c, err := FromEnv()
	if err != nil || c.PoolSize != 9 || c.DatabaseURL != someURL {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestFromKeepsTheMapAsItIs(t *testing.T) {
	environ := with("DB_POOL_TIMEOUT", "30")
	if _, err := From(environ); err != nil {
		t.Fatal(err)
	}
	if len(environ) != 2 || environ["DB_POOL_TIMEOUT"] != "30" {
		t.Errorf("the environment became %v", environ)
	}
	if _, err := From(nil); len(problemsOf(t, err)) != 1 {
		t.Errorf("no environment at all: got %v", err)
	}
}
