package config

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestValidateAccepts(t *testing.T) {
	tests := map[string]func(*Config){
		"the default":             func(*Config) {},
		"no overflow":             func(c *Config) { c.MaxOverflow = 0 },
		"one connection":          func(c *Config) { c.PoolSize = 1 },
		"as many as there can be": func(c *Config) { c.PoolSize, c.MaxOverflow = 262142, 1 },
		"no statement timeout":    func(c *Config) { c.StatementTimeout = 0 },
		"longest statement":       func(c *Config) { c.StatementTimeout = math.MaxInt32 * time.Millisecond },
		"shortest statement":      func(c *Config) { c.StatementTimeout = time.Millisecond },
		"no linger":               func(c *Config) { c.OverflowLinger = 0 },
		"no leak warning":         func(c *Config) { c.LeakThreshold = 0 },
		"short recycle":           func(c *Config) { c.PoolRecycle = time.Millisecond },
		"warn at once":            func(c *Config) { c.MaxConnectionWarnings = 1 },
		"warn when full":          func(c *Config) { c.MaxConnectionWarnings = 100 },
		"a budget":                func(c *Config) { c.FleetBudget = "40" },
		"all of it":               func(c *Config) { c.FleetBudget = "100%" },
		"long names":              func(c *Config) { c.Name = strings.Repeat("n", 63); c.ApplicationName = c.Name },
	}
	for name, change := range tests {
		c := Default()
		change(&c)
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	tests := []struct {
		change func(*Config)
		want   string // after "config: "
	}{
		{func(c *Config) { c.Name = "" },
			`DB_POOL_NAME: is empty; name the pool, after the service say`},
		{func(c *Config) { c.Name = strings.Repeat("n", 64) },
			`DB_POOL_NAME: is 64 bytes long, and PostgreSQL keeps 63; shorten it`},
		{func(c *Config) { c.ApplicationName = "a\nb" },
			`DB_APPLICATION_NAME: "a\nb" has characters that PostgreSQL replaces in application_name; use printable ASCII`},
		{func(c *Config) { c.PoolSize = 0 },
			`DB_POOL_SIZE: 0 means unlimited in SQLAlchemy and is refused here; set 1 or more`},
		{func(c *Config) { c.PoolSize = -3 },
			`DB_POOL_SIZE: -3 is negative; set 1 or more`},
		{func(c *Config) { c.PoolSize = 262144; c.MaxOverflow = 0 },
			`DB_POOL_SIZE: 262144 is more than PostgreSQL's max_connections can be (262143); set what the server allows`},
		{func(c *Config) { c.PoolSize = math.MaxInt },
			`DB_POOL_SIZE: 9223372036854775807 is more than PostgreSQL's max_connections can be (262143); set what the server allows`},
		{func(c *Config) { c.MinIdle = -1 },
			`DB_MIN_IDLE: -1 is negative; set 0 or more`},
		{func(c *Config) { c.MinIdle = 6 },
			`DB_MIN_IDLE: 6 is more than DB_POOL_SIZE (5), which is all that stays open; lower it, or raise DB_POOL_SIZE`},
		{func(c *Config) { c.MaxOverflow = -1 },
			`DB_MAX_OVERFLOW: -1 means unlimited in SQLAlchemy and is refused here; set 0 or more`},
		{func(c *Config) { c.MaxOverflow = -2 },
			`DB_MAX_OVERFLOW: -2 is negative; set 0 or more`},
		{func(c *Config) { c.MaxOverflow = 262144 },
			`DB_MAX_OVERFLOW: 262144 is more than PostgreSQL's max_connections can be (262143); set what the server allows`},
		{func(c *Config) { c.PoolSize, c.MaxOverflow = 262143, 1 },
			`DB_MAX_OVERFLOW: 1 and DB_POOL_SIZE 262143 are together more than PostgreSQL's max_connections can be (262143); set them to what the server allows`},
		{func(c *Config) { c.PoolTimeout = 0 },
			`DB_POOL_TIMEOUT: 0s leaves no time at all; set more than 0`},
		{func(c *Config) { c.PoolRecycle = -time.Second },
			`DB_POOL_RECYCLE: -1 means never in SQLAlchemy and is refused here; set more than 0, such as 300`},
		{func(c *Config) { c.PoolRecycle = 0 },
			`DB_POOL_RECYCLE: 0s leaves no time at all; set more than 0`},
		{func(c *Config) { c.ConnectTimeout = -time.Minute },
			`DB_CONNECT_TIMEOUT: -1m0s leaves no time at all; set more than 0`},
		{func(c *Config) { c.StatementTimeout = -time.Millisecond },
			`DB_STATEMENT_TIMEOUT: -1ms is negative; set 0 or more`},
		{func(c *Config) { c.StatementTimeout = time.Microsecond },
			`DB_STATEMENT_TIMEOUT: 1µs is not in whole milliseconds, which is all the server counts; set 1ms or more, or 0 for the server's own`},
		{func(c *Config) { c.StatementTimeout = (math.MaxInt32 + 1) * time.Millisecond },
			`DB_STATEMENT_TIMEOUT: 596h31m23.648s is longer than the server can count; set at most 2147483647 (milliseconds)`},
		{func(c *Config) { c.OverflowLinger = -1 },
			`DB_OVERFLOW_LINGER: -1ns is negative; set 0 or more`},
		{func(c *Config) { c.MaxWaiters = -1 },
			`DB_MAX_WAITERS: -1 is negative; set 0 or more`},
		{func(c *Config) { c.MaxWaiters = math.MaxInt },
			`DB_MAX_WAITERS: 9223372036854775807 is too large; set at most 2147483647`},
		{func(c *Config) { c.LeakThreshold = -time.Second },
			`DB_LEAK_THRESHOLD: -1s is negative; set 0 or more`},
		{func(c *Config) { c.Pooler = "odyssey" },
			`DB_POOLER: "odyssey" is not known; use auto, none or pgbouncer`},
		{func(c *Config) { c.Fleet = "" },
			`DB_FLEET: "" is not known; use off, warn or enforce`},
		{func(c *Config) { c.FleetReplicas = -1 },
			`DB_FLEET_REPLICAS: -1 is negative; set 0 or more`},
		{func(c *Config) { c.FleetReplicas = 262144 },
			`DB_FLEET_REPLICAS: 262144 is more than PostgreSQL's max_connections can be (262143); set what the server allows`},
		{func(c *Config) { c.FleetSurge = -1 },
			`DB_FLEET_SURGE: -1 is negative; set 0 or more`},
		{func(c *Config) { c.FleetBudget = "half" },
			`DB_FLEET_BUDGET: "half" is neither a number of connections nor a percentage; set 40 or 50%, say, or nothing for all of it`},
		{func(c *Config) { c.ReclaimAfter = -time.Second },
			`DB_RECLAIM_AFTER: -1s is negative; set 0 or more`},
		{func(c *Config) { c.Pipeline = "writes" },
			`DB_PIPELINE: "writes" is not known; use reads, all or off`},
		{func(c *Config) { c.Reset = "all" },
			`DB_RESET: "all" is not known; use off or discard`},
		{func(c *Config) { c.Nested = "forbid" },
			`DB_NESTED: "forbid" is not known; use wait or refuse`},
		{func(c *Config) { c.FleetKeySpace = 0 },
			`DB_FLEET_KEYSPACE: 0 is not a byte that locks may begin with; set 1 to 255`},
		{func(c *Config) { c.FleetKeySpace = 256 },
			`DB_FLEET_KEYSPACE: 256 is not a byte that locks may begin with; set 1 to 255`},
		{func(c *Config) { c.LogPoolStatusInterval = 0 },
			`LOG_POOL_STATUS_INTERVAL: 0s leaves no time at all; set more than 0`},
		{func(c *Config) { c.MaxConnectionWarnings = 0 },
			`MAX_CONNECTION_WARNINGS: 0 is not a percentage to warn at; set 1 to 100`},
	}
	for _, test := range tests {
		c := Default()
		test.change(&c)
		before := c
		err := c.Validate()
		if err == nil || err.Error() != "config: "+test.want {
			t.Errorf("got  %v\nwant config: %s", err, test.want)
		}
		if c != before {
			t.Errorf("Validate changed the Config for %q", test.want)
		}
	}
}

// A zero Config is far from usable, and says so variable by variable.
func TestZeroConfigNamesEveryProblem(t *testing.T) {
	var variables []string
	for _, p := range problemsOf(t, Config{}.Validate()) {
		variables = append(variables, p.Variable)
	}
	want := "DB_POOL_NAME DB_POOL_SIZE DB_POOL_TIMEOUT DB_POOL_RECYCLE DB_CONNECT_TIMEOUT DB_NESTED DB_PIPELINE DB_RESET DB_POOLER DB_FLEET DB_FLEET_KEYSPACE LOG_POOL_STATUS_INTERVAL MAX_CONNECTION_WARNINGS"
	if got := strings.Join(variables, " "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestValueThatMayBeASecretIsNotQuoted(t *testing.T) {
	for _, value := range []string{"postgres://app:hunter2@db/orders", "user=app password=hunter2", "app:hunter2@db"} {
		for _, v := range Variables() {
			if v.Name == "DB_POOL_NAME" || v.Name == "DB_APPLICATION_NAME" {
				continue // free text
			}
			if _, err := From(with(v.Name, value)); err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", v.Name, err)
			}
		}
	}
	_, err := From(with("DB_POOLER", strings.Repeat("x", 10_000)))
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("a long value is not cut: %d bytes", len(err.Error()))
	}
}

func TestFailureOfNothingIsNil(t *testing.T) {
	if err := failure(nil); err != nil {
		t.Errorf("got %v", err)
	}
	if err := Default().Validate(); !errors.Is(err, nil) {
		t.Errorf("got %v", err)
	}
}
