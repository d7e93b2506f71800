// Package config holds the settings of a pool and reads them from the
// environment.
//
// # Where a setting comes from
//
// Begin with a preset. DB_ENV chooses one: default (5+5 connections),
// production (3+3, recycled every 10 minutes), development (10+10) or serverless
// (1, for instances that freeze). It gives every setting a value.
//
// Each variable that is set then replaces the preset's value of its one
// setting: DB_POOL_SIZE=8 in production means 8+3. A variable that is set to
// nothing (DB_POOL_SIZE=) counts as not set, as it does for libpq.
//
// DATABASE_URL says where the database is. Where it is silent, the service
// file it or PGSERVICE names speaks; where that is silent too, libpq's PGHOST,
// PGPORT, PGUSER, PGPASSWORD and their kin do. Without DATABASE_URL, PGHOST or
// PGSERVICE is enough.
//
// Two settings have a name on both sides. For these DB_CONNECT_TIMEOUT and
// DB_STATEMENT_TIMEOUT come first, then connect_timeout and statement_timeout
// of the connection string (PGCONNECT_TIMEOUT and PGOPTIONS included), then
// the preset.
//
// # What is refused
//
// [FromEnv] and [Config.Validate] report every problem at once, one line each,
// in an [*Error]. A line names the variable, the rule and the remedy:
//
//	config: DB_MAX_OVERFLOW: -1 means unlimited in SQLAlchemy and is refused here; set 0 or more
//
// Nothing is corrected silently. A variable that looks like a misspelling of
// one of ours, DB_POOL_SZIE say, is a problem too: it would do nothing. It is
// left alone when the variable it resembles is set as well, for then it must
// belong to somebody else.
//
// # What is never shown
//
// A connection string holds a password. [DSN] therefore prints without it
// through fmt, log/slog and the text, JSON and XML encoders, and so does
// [Config]. A string that cannot be understood is not shown at all. Problems
// never quote a connection string. One way round remains, because fmt and
// reflection cannot call the methods of unexported fields: %+v of a struct
// that holds a Config or DSN in an unexported field prints the string as it
// is. Give such a struct a String method, or hold a *Config.
package config
