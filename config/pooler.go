package config

// Pooler names what stands between the service and the server. The zero value
// is not valid; [Default] sets PoolerAuto.
type Pooler string

// The poolers this library knows.
const (
	// PoolerAuto finds out from the server's answers.
	PoolerAuto Pooler = "auto"
	// PoolerNone is a direct connection to PostgreSQL.
	PoolerNone Pooler = "none"
	// PoolerPgBouncer is PgBouncer, in any of its modes.
	PoolerPgBouncer Pooler = "pgbouncer"
)
