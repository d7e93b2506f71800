package pool

import (
	"database/sql"
	"errors"
)

// SessionOption changes how a session runs: its transaction, or none.
type SessionOption func(*sessionOptions)

// WithReadOnly makes the session's transaction READ ONLY: the server refuses
// statements that write. As nothing can be lost, Middleware lets it live until
// the handler returns, so that rows can be streamed to the client.
func WithReadOnly() SessionOption {
	return func(o *sessionOptions) { o.tx.ReadOnly = true }
}

// WithIsolation sets the isolation level of the session's transaction. Default
// sql.LevelDefault: the server's own.
func WithIsolation(level sql.IsolationLevel) SessionOption {
	return func(o *sessionOptions) { o.tx.Isolation = level }
}

// WithAutocommit gives the session a connection but no transaction: each
// statement is committed by itself and nothing is ever rolled back. The
// connection is held from the first statement to the end. For statements that
// refuse transactions (VACUUM, CREATE INDEX CONCURRENTLY) and for streaming.
// It excludes WithReadOnly and WithIsolation.
func WithAutocommit() SessionOption {
	return func(o *sessionOptions) { o.autocommit = true }
}

type sessionOptions struct {
	tx         sql.TxOptions
	autocommit bool
}

func sessionOptionsOf(opts []SessionOption) (sessionOptions, error) {
	var o sessionOptions
	for _, set := range opts {
		set(&o)
	}
	if o.autocommit && o.tx != (sql.TxOptions{}) {
		return o, errors.New("pool: WithAutocommit excludes WithReadOnly and WithIsolation, which are properties of a transaction; drop one of them")
	}
	return o, nil
}

// losable reports whether work can be reported done and then be lost when the
// commit fails. A serializable transaction has read nothing until it commits.
func (o sessionOptions) losable() bool {
	return !o.autocommit && (!o.tx.ReadOnly || o.tx.Isolation >= sql.LevelSerializable)
}
