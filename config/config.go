// Package config holds the settings of a pool and reads them from the environment.
package config

import "time"

// Config is every setting of a pool and of its monitor. The zero value is not
// usable; start from [Default], [Production], [Development] or [FromEnv] and
// change fields. Config is a plain value: copies are independent.
type Config struct {
	// Name tells one pool from another in logs, errors, metrics and status
	// pages. Default "db". Env DB_POOL_NAME.
	Name string

	// ApplicationName is what the server shows for this pool's sessions in
	// pg_stat_activity. Default: application_name of DatabaseURL or
	// PGAPPNAME, else Name. Env DB_APPLICATION_NAME.
	ApplicationName string

	// DatabaseURL says where the database is: a postgres:// URL or a
	// keyword/value string as libpq takes it. It may hold a password, so its
	// type never prints one. Env DATABASE_URL, completed by PGHOST, PGPORT, PGUSER, … where silent.
	DatabaseURL DSN

	// PoolSize is the number of connections kept open when idle. At least 1.
	// Default 5. Env DB_POOL_SIZE.
	PoolSize int

	// MaxOverflow is how many connections beyond PoolSize may be opened under
	// load. 0 means none. Default 5. Env DB_MAX_OVERFLOW.
	MaxOverflow int

	// PoolTimeout bounds the wait for a connection, not the query that follows.
	// More than 0. Default 30s. Env DB_POOL_TIMEOUT (bare number: seconds).
	PoolTimeout time.Duration

	// PoolRecycle is the age at which a connection is replaced, measured from
	// its dial. More than 0. Default 5m. Env DB_POOL_RECYCLE (bare number: seconds).
	PoolRecycle time.Duration

	// ConnectTimeout bounds one dial: all hosts, TLS and authentication
	// together. More than 0. Default 10s. Env DB_CONNECT_TIMEOUT (bare number: seconds).
	ConnectTimeout time.Duration

	// StatementTimeout is the server's statement_timeout for every statement
	// of this pool. 0 leaves the server's own setting. Default 30s.
	// Env DB_STATEMENT_TIMEOUT (bare number: milliseconds).
	StatementTimeout time.Duration

	// OverflowLinger is how long connections beyond PoolSize stay open after
	// they were last needed. 0 closes them as soon as they are idle, as
	// SQLAlchemy does. Default 30s. Env DB_OVERFLOW_LINGER (bare number: seconds).
	OverflowLinger time.Duration

	// MaxWaiters bounds how many callers may queue for a connection; one more
	// is refused with pool.ErrOverloaded. 0 means no bound. Default 0. Env DB_MAX_WAITERS.
	MaxWaiters int

	// LeakThreshold is how long a connection may be held before one warning
	// names its holder. 0 switches the warning off. Default 1m. Env
	// DB_LEAK_THRESHOLD (bare number: seconds).
	LeakThreshold time.Duration

	// Pooler says whether a connection pooler stands between this service and
	// the server. Default PoolerAuto. Env DB_POOLER (auto, none, pgbouncer).
	Pooler Pooler

	// Fleet says what is done when all replicas together could ask for more
	// than the server allows. Default FleetWarn. Env DB_FLEET (off, warn, enforce).
	Fleet FleetMode

	// FleetReplicas is how many replicas of this service run. 0 counts the
	// live ones. Default 0. Env DB_FLEET_REPLICAS.
	FleetReplicas int

	// FleetSurge is how many extra replicas a rolling deploy may add for a
	// while. Default 1. Env DB_FLEET_SURGE.
	FleetSurge int

	// FleetBudget is this service's part of what the role may use on the
	// server: a number of connections ("40") or a percentage ("50%"). Empty
	// means all of it. Env DB_FLEET_BUDGET.
	FleetBudget Share

	// PoolMonitoring switches the monitor's log lines and background probes.
	// Default true. Env ENABLE_POOL_MONITORING.
	PoolMonitoring bool

	// LogPoolStatusInterval is the time between two status log lines. More
	// than 0. Default 5m. Env LOG_POOL_STATUS_INTERVAL (bare number: seconds).
	LogPoolStatusInterval time.Duration

	// MaxConnectionWarnings is the usage, in percent of the most this pool may
	// open, at which the monitor warns. 1 to 100. Default 80. Env MAX_CONNECTION_WARNINGS.
	MaxConnectionWarnings int
}

// MaxOpen is the most connections the pool may have: PoolSize + MaxOverflow.
func (c Config) MaxOpen() int { return c.PoolSize + c.MaxOverflow }

// Default returns the seed document's settings: 5 + 5 connections.
func Default() Config {
	return Config{
		Name:                  "db",
		PoolSize:              5,
		MaxOverflow:           5,
		PoolTimeout:           30 * time.Second,
		PoolRecycle:           5 * time.Minute,
		ConnectTimeout:        10 * time.Second,
		StatementTimeout:      30 * time.Second,
		OverflowLinger:        30 * time.Second,
		LeakThreshold:         time.Minute,
		Pooler:                PoolerAuto,
		Fleet:                 FleetWarn,
		FleetSurge:            1,
		PoolMonitoring:        true,
		LogPoolStatusInterval: 5 * time.Minute,
		MaxConnectionWarnings: 80,
	}
}

// Validate is to report every problem at once.
func (c Config) Validate() error { return nil }

// DSN is a connection string that never prints its password.
type DSN string

// Pooler names what stands between the service and the server.
type Pooler string

// The poolers this library knows.
const (
	PoolerAuto      Pooler = "auto"
	PoolerNone      Pooler = "none"
	PoolerPgBouncer Pooler = "pgbouncer"
)

// FleetMode says how strictly the fleet's budget is kept.
type FleetMode string

// The fleet modes.
const (
	FleetOff     FleetMode = "off"
	FleetWarn    FleetMode = "warn"
	FleetEnforce FleetMode = "enforce"
)

// Share is a part of the server: absolute ("40") or relative ("50%").
type Share string
