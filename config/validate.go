package config

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// maxConnections is the most that PostgreSQL's max_connections can be set to.
const maxConnections = 262143

// Validate returns every problem of the settings at once, as an [*Error], or
// nil. It changes nothing. An empty DatabaseURL is no problem here: it leaves
// everything to libpq's defaults, and pool.New needs none.
func (c Config) Validate() error {
	return failure(inOrder(c.problems()))
}

// problems checks every field, in the order of the fields.
func (c Config) problems() []Problem {
	var k checker
	k.label("DB_POOL_NAME", c.Name)
	if c.Name == "" {
		k.refuse("DB_POOL_NAME", "is empty", "name the pool, after the service say")
	}
	k.label("DB_APPLICATION_NAME", c.ApplicationName)
	k.dsn("DATABASE_URL", c.DatabaseURL)
	k.sizes(c.PoolSize, c.MaxOverflow)
	k.minIdle(c.MinIdle, c.PoolSize)
	k.reads(c)
	k.durations(c)
	k.count("DB_MAX_WAITERS", c.MaxWaiters, math.MaxInt32)
	choice(&k, "DB_NESTED", c.Nested, NestedWait, NestedRefuse)
	choice(&k, "DB_PIPELINE", c.Pipeline, PipelineReads, PipelineAll, PipelineOff)
	choice(&k, "DB_RESET", c.Reset, ResetOff, ResetDiscard)
	choice(&k, "DB_POOLER", c.Pooler, PoolerAuto, PoolerNone, PoolerPgBouncer)
	choice(&k, "DB_FLEET", c.Fleet, FleetOff, FleetWarn, FleetEnforce)
	k.count("DB_FLEET_REPLICAS", c.FleetReplicas, maxConnections)
	k.count("DB_FLEET_SURGE", c.FleetSurge, maxConnections)
	k.share("DB_FLEET_BUDGET", c.FleetBudget)
	k.keySpace("DB_FLEET_KEYSPACE", c.FleetKeySpace)
	k.percent("MAX_CONNECTION_WARNINGS", c.MaxConnectionWarnings)
	return k.problems
}

// checker gathers problems.
type checker struct{ problems []Problem }

func (k *checker) refuse(variable, rule, remedy string) {
	k.problems = append(k.problems, Problem{variable, rule, remedy})
}

// label checks a name that reaches the server as application_name.
func (k *checker) label(variable, s string) {
	const longest = 63 // NAMEDATALEN - 1; the server cuts the rest off
	if len(s) > longest {
		k.refuse(variable, fmt.Sprintf("is %d bytes long, and PostgreSQL keeps %d", len(s), longest), "shorten it")
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		k.refuse(variable, quote(s)+" has characters that PostgreSQL replaces in application_name", "use printable ASCII")
	}
}

func (k *checker) sizes(size, overflow int) {
	switch {
	case size == 0:
		k.refuse("DB_POOL_SIZE", "0 means unlimited in SQLAlchemy and is refused here", "set 1 or more")
	case size < 0:
		k.refuse("DB_POOL_SIZE", fmt.Sprint(size, " is negative"), "set 1 or more")
	}
	switch {
	case overflow == -1:
		k.refuse("DB_MAX_OVERFLOW", "-1 means unlimited in SQLAlchemy and is refused here", "set 0 or more")
	case overflow < 0:
		k.refuse("DB_MAX_OVERFLOW", fmt.Sprint(overflow, " is negative"), "set 0 or more")
	}
	k.atMost("DB_POOL_SIZE", size, maxConnections)
	k.atMost("DB_MAX_OVERFLOW", overflow, maxConnections)
	// Each within bounds, so the sum cannot overflow.
	if size <= maxConnections && overflow <= maxConnections && size+overflow > maxConnections {
		k.refuse("DB_MAX_OVERFLOW",
			fmt.Sprintf("%d and DB_POOL_SIZE %d are together more than PostgreSQL's max_connections can be (%d)", overflow, size, maxConnections),
			"set them to what the server allows")
	}
}

func (k *checker) minIdle(n, size int) {
	switch {
	case n < 0:
		k.refuse("DB_MIN_IDLE", fmt.Sprint(n, " is negative"), "set 0 or more")
	case n > size && size > 0:
		k.refuse("DB_MIN_IDLE", fmt.Sprintf("%d is more than DB_POOL_SIZE (%d), which is all that stays open", n, size), "lower it, or raise DB_POOL_SIZE")
	}
}

func (k *checker) atMost(variable string, n, most int) {
	if n <= most {
		return
	}
	if most == maxConnections {
		k.refuse(variable, fmt.Sprintf("%d is more than PostgreSQL's max_connections can be (%d)", n, most), "set what the server allows")
		return
	}
	k.refuse(variable, fmt.Sprintf("%d is too large", n), fmt.Sprintf("set at most %d", most))
}

func (k *checker) count(variable string, n, most int) {
	if n < 0 {
		k.refuse(variable, fmt.Sprint(n, " is negative"), "set 0 or more")
	}
	k.atMost(variable, n, most)
}

func (k *checker) percent(variable string, n int) {
	if n < 1 || n > 100 {
		k.refuse(variable, fmt.Sprint(n, " is not a percentage to warn at"), "set 1 to 100")
	}
}

func (k *checker) durations(c Config) {
	k.positive("DB_POOL_TIMEOUT", c.PoolTimeout)
	if c.PoolRecycle == -time.Second {
		k.refuse("DB_POOL_RECYCLE", "-1 means never in SQLAlchemy and is refused here", "set more than 0, such as 300")
	} else {
		k.positive("DB_POOL_RECYCLE", c.PoolRecycle)
	}
	k.positive("DB_CONNECT_TIMEOUT", c.ConnectTimeout)
	k.statementTimeout("DB_STATEMENT_TIMEOUT", c.StatementTimeout)
	k.notNegative("DB_OVERFLOW_LINGER", c.OverflowLinger)
	k.notNegative("DB_LEAK_THRESHOLD", c.LeakThreshold)
	k.notNegative("DB_RECLAIM_AFTER", c.ReclaimAfter)
	k.notNegative("DB_READ_WAIT", c.ReadWait)
	k.positive("LOG_POOL_STATUS_INTERVAL", c.LogPoolStatusInterval)
}

func (k *checker) positive(variable string, d time.Duration) {
	if d <= 0 {
		k.refuse(variable, fmt.Sprint(d, " leaves no time at all"), "set more than 0")
	}
}

func (k *checker) notNegative(variable string, d time.Duration) {
	if d < 0 {
		k.refuse(variable, fmt.Sprint(d, " is negative"), "set 0 or more")
	}
}

func (k *checker) statementTimeout(variable string, d time.Duration) {
	const longest = math.MaxInt32 * time.Millisecond
	k.notNegative(variable, d)
	if d%time.Millisecond != 0 {
		k.refuse(variable, fmt.Sprint(d, " is not in whole milliseconds, which is all the server counts"), "set 1ms or more, or 0 for the server's own")
	}
	if d > longest {
		k.refuse(variable, fmt.Sprint(d, " is longer than the server can count"), fmt.Sprintf("set at most %d (milliseconds)", math.MaxInt32))
	}
}

func (k *checker) share(variable string, s Share) {
	if s == "" {
		return
	}
	if _, _, ok := s.parse(); !ok {
		k.refuse(variable, quote(string(s))+" is neither a number of connections nor a percentage", "set 40 or 50%, say, or nothing for all of it")
	}
}

// keySpace leaves out 0, for the integers from 0 up are what applications use
// for locks of their own.
func (k *checker) keySpace(variable string, n int) {
	if n < 1 || n > 255 {
		k.refuse(variable, fmt.Sprint(n, " is not a byte that locks may begin with"), "set 1 to 255")
	}
}

// choice is not a method because methods cannot have type parameters.
func choice[T ~string](k *checker, variable string, chosen T, allowed ...T) {
	if slices.Contains(allowed, chosen) {
		return
	}
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	last := len(names) - 1
	k.refuse(variable, quote(string(chosen))+" is not known", "use "+strings.Join(names[:last], ", ")+" or "+names[last])
}
