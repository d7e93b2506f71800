package config

import (
	"cmp"
	"time"
)

// Config is every setting of a pool and of its monitor. The zero value is not
// usable; start from [Default], [Production], [Development] or [FromEnv] and
// change fields. Config is a plain value: copies are independent, and reading
// one from several goroutines is safe.
type Config struct {
	// Name tells one pool from another in logs, errors, metrics and status
	// pages. Pools of one name in one database are one fleet (see Fleet): all
	// services that keep the default would share one budget. Printable ASCII, at most 63 characters, not empty.
	// Default "db". Env DB_POOL_NAME.
	Name string `env:"DB_POOL_NAME"`

	// ApplicationName is what the server shows for this pool's sessions in
	// pg_stat_activity. Printable ASCII, at most 63 characters. Empty means the
	// application_name of DatabaseURL (FromEnv puts PGAPPNAME there), else Name.
	// Default "". Env DB_APPLICATION_NAME.
	ApplicationName string `env:"DB_APPLICATION_NAME"`

	// DatabaseURL says where the database is: a postgres:// URL or a
	// keyword/value string as libpq takes it. It may hold a password, so its
	// type never prints one. Empty leaves everything to libpq's variables and
	// defaults, as for pgx; FromEnv refuses that unless PGHOST or PGSERVICE is
	// set. pool.New, which is handed a database, does not look at it.
	// Default "". Env DATABASE_URL, completed by PGHOST, PGPORT, … where silent.
	DatabaseURL DSN `env:"DATABASE_URL"`

	// PoolSize is the number of connections kept open when idle. At least 1;
	// SQLAlchemy's 0, unlimited, is refused. Default 5. Env DB_POOL_SIZE.
	PoolSize int `env:"DB_POOL_SIZE"`

	// MaxOverflow is how many connections beyond PoolSize may be opened under
	// load. 0 means none; SQLAlchemy's -1, unlimited, is refused.
	// Default 5. Env DB_MAX_OVERFLOW.
	MaxOverflow int `env:"DB_MAX_OVERFLOW"`

	// MinIdle is how many connections are kept open and idle, as far as PoolSize
	// has room, from the first connection on: for callers that should not wait
	// for a dial. Ready waits until they are there. 0 opens a connection when one
	// is needed; up to PoolSize stay open then. At most PoolSize.
	// Default 0. Env DB_MIN_IDLE.
	MinIdle int `env:"DB_MIN_IDLE"`

	// PoolTimeout bounds the wait for a connection, not the query that follows.
	// More than 0. Default 30s. Env DB_POOL_TIMEOUT (bare number: seconds).
	PoolTimeout time.Duration `env:"DB_POOL_TIMEOUT"`

	// PoolRecycle is the age at which a connection is replaced, measured from
	// its dial. More than 0; SQLAlchemy's -1, never, is refused.
	// Default 5m. Env DB_POOL_RECYCLE (bare number: seconds).
	PoolRecycle time.Duration `env:"DB_POOL_RECYCLE"`

	// ConnectTimeout bounds one dial: all hosts, TLS and authentication
	// together. More than 0. Default 10s. Env DB_CONNECT_TIMEOUT (bare number:
	// seconds), else connect_timeout of the connection string, if it is not 0.
	ConnectTimeout time.Duration `env:"DB_CONNECT_TIMEOUT"`

	// StatementTimeout is the server's statement_timeout for every statement
	// of this pool, in whole milliseconds. 0 leaves the server's own setting.
	// At most 2147483647ms, about 24 days. Default 30s. Env
	// DB_STATEMENT_TIMEOUT (bare number: milliseconds), else statement_timeout
	// of the connection string or its options.
	StatementTimeout time.Duration `env:"DB_STATEMENT_TIMEOUT"`

	// OverflowLinger is how long connections beyond PoolSize stay open after
	// they were last needed. 0 closes them as soon as they are idle, as
	// SQLAlchemy does. Default 30s. Env DB_OVERFLOW_LINGER (bare number: seconds).
	OverflowLinger time.Duration `env:"DB_OVERFLOW_LINGER"`

	// MaxWaiters bounds how many callers may queue for a connection; one more
	// is refused with pool.ErrOverloaded. Background tasks are counted apart, with
	// the same bound: they keep no request out. 0 means no bound.
	// Default 0. Env DB_MAX_WAITERS.
	MaxWaiters int `env:"DB_MAX_WAITERS"`

	// LeakThreshold is how long a connection may be held before one warning
	// names its holder. 0 switches the warning off. Default 1m. Env
	// DB_LEAK_THRESHOLD (bare number: seconds).
	LeakThreshold time.Duration `env:"DB_LEAK_THRESHOLD"`

	// ReclaimAfter takes a connection away from a holder that has left it without
	// a running statement for longer: its next statement returns
	// pool.ErrReclaimed, its transaction is rolled back, its session on the
	// server ends, and its place in the pool goes to others, even if the holder
	// never gives it back. A running statement is never touched, nor rows that
	// are being read. 0 takes nothing away. Not negative.
	// Default 0. Env DB_RECLAIM_AFTER (bare number: seconds).
	ReclaimAfter time.Duration `env:"DB_RECLAIM_AFTER"`

	// Nested says what happens to a caller that asks for a connection while its
	// own session, background task or request already holds one of this pool:
	// it would wait for itself when the pool is at its limit. NestedWait lets it
	// wait like any other, and its timeout names both places; NestedRefuse
	// returns pool.ErrNested at once.
	// Default NestedWait. Env DB_NESTED (wait, refuse).
	Nested NestedMode `env:"DB_NESTED"`

	// Pipeline says which statements of callers who know nothing of each other
	// may share a connection while callers wait: they are sent in one pipeline,
	// each as a transaction of its own, and each caller gets its own answer.
	// PipelineReads lets queries share that were short lately, gave small results,
	// take no locks and use nothing that lives in the session; PipelineAll also
	// lets such inserts, updates and deletes share; PipelineOff switches it off.
	// Default PipelineReads. Env DB_PIPELINE (reads, all, off).
	Pipeline PipelineMode `env:"DB_PIPELINE"`

	// Reset says what becomes of the state that a caller leaves in a session.
	// ResetDiscard does before the next use what DISCARD ALL does, but for
	// statements prepared with PREPARE, and for advisory locks with FleetEnforce.
	// It costs a round trip for each use, switches Pipeline off, also undoes what a
	// function given to pool.WithAfterConnect has SET, and does nothing behind a pooler.
	// Default ResetOff. Env DB_RESET (off, discard).
	Reset ResetMode `env:"DB_RESET"`

	// ReadURL says where the standbys are, for reads that ask for one: see
	// pool.WithStandby and pool.ContextWithStandby. It is a connection string as
	// DatabaseURL is, of one or several hosts, or ReadSame, for the standbys among
	// the hosts of DatabaseURL. Only standbys are used: target_session_attrs is
	// standby. It needs PoolSize + MaxOverflow to be 2 at least, and no PgBouncer.
	// Empty means that all reads go to the primary. pool.New does not look at it.
	// Default "". Env DATABASE_READ_URL, completed by PGUSER, PGPASSWORD, … where silent.
	ReadURL DSN `env:"DATABASE_READ_URL"`

	// ReadShare is the part of PoolSize + MaxOverflow that is for standbys, where
	// ReadURL is set: a number of connections ("4") or a percentage ("50%"). At
	// least one is for standbys, and one for the primary. While no standby can be
	// used, all but one are the primary's. Default "50%". Env DB_READ_SHARE.
	ReadShare Share `env:"DB_READ_SHARE"`

	// ReadWait is how long a read waits for a standby to have what its caller has
	// written before it goes to the primary: see pool.ContextWithProgress. 0 does
	// not wait. Default 1s. Env DB_READ_WAIT (bare number: seconds).
	ReadWait time.Duration `env:"DB_READ_WAIT"`

	// Pooler says whether a connection pooler stands between this service and
	// the server. Default PoolerAuto. Env DB_POOLER (auto, none, pgbouncer).
	Pooler Pooler `env:"DB_POOLER"`

	// Fleet says what is done when all replicas together could ask for more
	// than the server allows. Default FleetWarn. Env DB_FLEET (off, warn, enforce).
	Fleet FleetMode `env:"DB_FLEET"`

	// FleetReplicas is how many replicas of this service run. 0 counts the
	// live ones. Default 0. Env DB_FLEET_REPLICAS.
	FleetReplicas int `env:"DB_FLEET_REPLICAS"`

	// FleetSurge is how many connections are kept free, up to half of all, for
	// the extra replicas that a rolling deploy may add for a
	// while. 0 means none. Default 1. Env DB_FLEET_SURGE.
	FleetSurge int `env:"DB_FLEET_SURGE"`

	// FleetBudget is this service's part of what the role may use on the
	// server: a number of connections ("40") or a percentage ("50%"). Empty
	// means all of it. Default "". Env DB_FLEET_BUDGET.
	FleetBudget Share `env:"DB_FLEET_BUDGET"`

	// FleetKeySpace moves the advisory locks of the fleet's budget, for an
	// application whose own locks are in the way: the highest byte of their
	// first integer, in the two-integer form of pg_advisory_lock. All replicas
	// of a service, and all services that share a server's budget, must agree.
	// 1 to 255. Default 219: the integers from -620756992 to -603979777. Env
	// DB_FLEET_KEYSPACE.
	FleetKeySpace int `env:"DB_FLEET_KEYSPACE"`

	// PoolMonitoring switches the monitor's log lines and background probes.
	// Default true. Env ENABLE_POOL_MONITORING.
	PoolMonitoring bool `env:"ENABLE_POOL_MONITORING"`

	// LogPoolStatusInterval is the time between two status log lines. More
	// than 0. Default 5m. Env LOG_POOL_STATUS_INTERVAL (bare number: seconds).
	LogPoolStatusInterval time.Duration `env:"LOG_POOL_STATUS_INTERVAL"`

	// MaxConnectionWarnings is the usage, in percent of the most this pool may
	// open, at which the monitor warns. 1 to 100. Default 80. Env
	// MAX_CONNECTION_WARNINGS.
	MaxConnectionWarnings int `env:"MAX_CONNECTION_WARNINGS"`

	noticed string // in the environment; see Warnings
}

// MaxOpen is the most connections the pool may have: PoolSize + MaxOverflow.
func (c Config) MaxOpen() int { return c.PoolSize + c.MaxOverflow }

// ResolvedApplicationName is the name the sessions of this pool go by on the
// server: ApplicationName, else application_name of DatabaseURL, else
// its fallback_application_name, else Name.
func (c Config) ResolvedApplicationName() string {
	if c.ApplicationName != "" {
		return c.ApplicationName
	}
	// A string that cannot be parsed has no name in it; Validate reports it.
	said, _ := c.DatabaseURL.settings()
	return cmp.Or(said["application_name"], said["fallback_application_name"], c.Name)
}
