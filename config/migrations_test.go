package config

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestForMigrations(t *testing.T) {
	for _, dsn := range []string{
		"postgres://app:pw@h/d?sslmode=disable", "postgres://h/d?sslmode=disable&statement_timeout=5000", "host=h sslmode=disable statement_timeout=5s password='a b'",
		"host=h sslmode=disable options='-c statement_timeout=5'", "",
	} {
		c := Production()
		c.Name, c.DatabaseURL, c.Fleet, c.ReclaimAfter, c.Nested = strings.Repeat("n", 60), DSN(dsn), FleetEnforce, time.Minute, NestedRefuse
		before := c
		m := c.ForMigrations()
		if err := m.Validate(); err != nil || c != before {
			t.Errorf("%s: %v", dsn, err)
		}
		cc, err := pgx.ParseConfig(string(m.DatabaseURL))
		if err != nil || cc.RuntimeParams["statement_timeout"] != "0" {
			t.Errorf("%s: %v, %v", dsn, cc, err)
		}
		if m.MaxOpen() != 2 || m.StatementTimeout != 0 || m.LeakThreshold != 0 || m.ReclaimAfter != 0 || m.Fleet != FleetOff || m.Name == c.Name {
			t.Errorf("%v", m)
		}
		if dsn != "" && cc.Host != "h" {
			t.Errorf("%s: %s", dsn, cc.Host)
		}
	}
}

func TestFromURL(t *testing.T) {
	t.Setenv("DB_POOL_SIZE", "77")
	c, err := FromURL("postgres://h/d?statement_timeout=5s")
	if err != nil || c.PoolSize != Default().PoolSize || c.StatementTimeout != 5*time.Second || c.DatabaseURL != "postgres://h/d?statement_timeout=5s" {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := FromURL("postgres://app:a@b@h/d"); err == nil {
		t.Error("accepted")
	}
}
