package pool

import (
	"context"
	"database/sql"
	"errors"
)

// SessionOption changes how a session runs: its transaction, or none.
type SessionOption func(*sessionOptions)

// WithReadOnly makes the session's transaction READ ONLY: the server refuses
// statements that write. As nothing can be lost, Middleware lets it live until
// the handler returns, so that rows can be streamed to the client.
//
// A session that ran nothing but queries whose functions are known to have no effect
// does not wait for its COMMIT, which the server executes before anything else on that
// connection. It waits in serializable transactions, whose reads are only then known
// to be right (say so by WithIsolation, where that is the server's default), behind a
// pooler, in Session.Commit, and after anything else: a READ ONLY transaction may
// notify, say.
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

// WithBegin has fn run when the session has got its connection and begun its
// transaction, before its first statement: for what every statement depends on,
// such as a tenant of row-level security:
//
//	_, err := s.ExecContext(ctx, "select set_config('app.tenant', $1, true)", tenantOf(ctx))
//
// A session that runs no statement does not run fn. The session and the context
// that fn gets are good for fn only; statements of the work wait for it. When fn
// fails, the transaction is rolled back, the first statement returns the error, and
// the next one tries again. Several are run in the order in which they were given.
//
// What fn sets with set_config(…, true) or SET LOCAL ends with the transaction; with
// WithAutocommit it would end with the statement. BEGIN travels with the first
// statement of fn, so one statement of fn costs one round trip.
func WithBegin(fn func(ctx context.Context, s *Session) error) SessionOption {
	return func(o *sessionOptions) { o.begin = append(o.begin, fn) }
}

// WithSessionDefaults has every session of the pool, of WithSession, Middleware
// and Background, start with these options; those of the call follow. With
// WithBegin no session can forget its tenant. Statements of the pool's own methods
// and of DB run in no session.
func WithSessionDefaults(opts ...SessionOption) Option {
	return func(s *settings) { s.session = append(s.session, opts...) }
}

type sessionOptions struct {
	tx         sql.TxOptions
	autocommit bool
	standby    bool
	begin      []func(ctx context.Context, s *Session) error
}

// sessionOptions are the pool's and then those of a call.
func (p *Pool) sessionOptions(opts []SessionOption) (sessionOptions, error) {
	var o sessionOptions
	for _, set := range p.defaults {
		set(&o)
	}
	for _, set := range opts {
		set(&o)
	}
	if o.autocommit && o.tx != (sql.TxOptions{}) {
		return o, errors.New("pool: WithAutocommit excludes WithReadOnly and WithIsolation, which are properties of a transaction; drop one of them")
	}
	if o.standby && o.tx.Isolation == sql.LevelSerializable {
		return o, errors.New("pool: WithStandby excludes sql.LevelSerializable, which standbys do not have; use sql.LevelRepeatableRead, or drop one of them")
	}
	return o, nil
}

// losable reports whether work can be reported done and then be lost when the
// commit fails. A serializable transaction has read nothing until it commits.
func (o sessionOptions) losable() bool {
	return !o.autocommit && !o.readsOnly()
}

// readsOnly reports whether the transaction is READ ONLY, and what it has read is
// right whatever becomes of the commit.
func (o sessionOptions) readsOnly() bool {
	return o.tx.ReadOnly && o.tx.Isolation < sql.LevelSerializable
}
