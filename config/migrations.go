package config

import "slices"

// ForMigrations returns the settings of a second pool in the same database, for
// a migration tool: a connection, and a second one for tools that hold their lock
// on one and work on another; no statement_timeout, neither this library's nor the
// role's; no warnings about a lock that is held for long; and no part in the
// fleet's budget. Open it for the length of the migration, and add two to what
// DB_POOL_SIZE and DB_MAX_OVERFLOW need of the server.
func (c Config) ForMigrations() Config {
	c.Name += "-migrations"
	if len(c.Name) > 63 {
		c.Name = "migrations"
	}
	c.PoolSize, c.MaxOverflow, c.MinIdle, c.MaxWaiters = 1, 1, 0, 0
	c.StatementTimeout = 0
	c.LeakThreshold, c.ReclaimAfter, c.Nested = 0, 0, NestedWait
	c.Fleet = FleetOff
	c.ReadURL = ""
	c.DatabaseURL = c.DatabaseURL.without("statement_timeout").with([]pair{{"statement_timeout", "0"}})
	return c
}

// without takes a keyword out of a keyword/value string. In a URL the last word
// counts, so nothing needs to go.
func (d DSN) without(keyword string) DSN {
	pairs, err := parseKeywords(string(d))
	if d.isURL() || err != nil {
		return d
	}
	return DSN(writeKeywords(slices.DeleteFunc(pairs, func(p pair) bool { return p.keyword == keyword })))
}
