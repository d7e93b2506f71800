package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// DB returns a *sql.DB whose statements all run in the session, on its one
// connection, for libraries that insist on one: GORM, sqlx, bun, ent, watermill and
// others then work inside the session's transaction.
//
//   - BeginTx begins a savepoint: Commit releases it, Rollback undoes what was
//     done since. Nothing is committed before the session is. An isolation level
//     other than the session's is refused; read-only holds for the savepoint. With
//     WithAutocommit, where there is no transaction, BeginTx begins a real one.
//   - Like the session it is for one goroutine at a time: a statement while rows of
//     another are open fails at once, and savepoints end in reverse order.
//   - It takes no connection before its first statement, and is closed when the
//     session ends; until then Close only makes DB return another.
//
// A nil session has a nil DB.
func (s *Session) DB() *sql.DB {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.joined == nil || s.over == nil && isClosed(s.joined) {
		s.joined = sql.OpenDB(joinConnector{s})
	}
	if s.over != nil {
		_ = s.joined.Close()
	}
	return s.joined
}

// joinConnector makes handles on a session's connection.
type joinConnector struct{ s *Session }

var _ driver.Connector = joinConnector{}

// Connect makes one more handle. It costs nothing.
func (c joinConnector) Connect(context.Context) (driver.Conn, error) { return &joinConn{s: c.s}, nil }

// Driver returns pgx's driver.
func (c joinConnector) Driver() driver.Driver { return virtuals{p: c.s.pool}.Driver() }

// joinConn is a handle on a session's connection. There may be several: they take turns.
type joinConn struct{ s *Session }

var (
	_ driver.Conn               = (*joinConn)(nil)
	_ driver.ConnBeginTx        = (*joinConn)(nil)
	_ driver.ConnPrepareContext = (*joinConn)(nil)
	_ driver.ExecerContext      = (*joinConn)(nil)
	_ driver.QueryerContext     = (*joinConn)(nil)
	_ driver.Pinger             = (*joinConn)(nil)
	_ driver.SessionResetter    = (*joinConn)(nil)
	_ driver.Validator          = (*joinConn)(nil)
	_ driver.NamedValueChecker  = (*joinConn)(nil)
)

// ExecContext runs a statement that returns no rows.
func (j *joinConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	u, err := j.s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return u.conn.ExecContext(ctx, query, args)
}

// QueryContext runs a statement that returns rows.
func (j *joinConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	u, err := j.s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return u.conn.QueryContext(ctx, query, args)
}

// PrepareContext prepares a statement.
func (j *joinConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	u, err := j.s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return u.conn.PrepareContext(ctx, query)
}

// Prepare is PrepareContext for callers without a context; database/sql is none of them.
func (j *joinConn) Prepare(query string) (driver.Stmt, error) {
	return j.PrepareContext(context.Background(), query)
}

// Ping makes a round trip on the session's connection.
func (j *joinConn) Ping(ctx context.Context) error {
	_, err := j.ExecContext(ctx, "", nil)
	return err
}

// BeginTx begins a savepoint; in a session without a transaction, a transaction.
func (j *joinConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	u, err := j.s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	if j.s.opts.autocommit {
		return u.conn.beginInner(ctx, opts)
	}
	level := sql.IsolationLevel(opts.Isolation)
	if level != sql.LevelDefault && level != j.s.opts.tx.Isolation {
		return nil, fmt.Errorf("pool: a savepoint cannot have the isolation level %s; give it to the session, with WithIsolation", level)
	}
	sp := &savepoint{c: u.conn, name: fmt.Sprintf("dbpool_%d", j.s.savepoints.Add(1))}
	begin := "savepoint " + sp.name
	if opts.ReadOnly {
		begin += "; set transaction read only"
	}
	return sp, sp.exec(ctx, begin)
}

// Begin is BeginTx for callers without a context; database/sql is none of them.
func (j *joinConn) Begin() (driver.Tx, error) {
	return j.BeginTx(context.Background(), driver.TxOptions{})
}

// CheckNamedValue leaves arguments to the session's connection.
func (*joinConn) CheckNamedValue(*driver.NamedValue) error { return nil }

// ResetSession has nothing to reset.
func (*joinConn) ResetSession(context.Context) error { return nil }

// IsValid reports that the handle can be kept.
func (*joinConn) IsValid() bool { return true }

// Close ends the handle, and nothing else.
func (*joinConn) Close() error { return nil }

// savepoint is what BeginTx begins in a transaction.
type savepoint struct {
	c    *sessionConn
	name string
}

// exec runs sql in a context that does not end before the session's.
func (sp *savepoint) exec(ctx context.Context, sql string) error {
	_, err := sp.c.ExecContext(ctx, sql, nil)
	return err
}

// Commit releases the savepoint. One in which a statement failed is undone
// instead, and the error says so.
func (sp *savepoint) Commit() error {
	ctx := context.Background() // bound to the session's
	err := sp.exec(ctx, "release savepoint "+sp.name)
	if err != nil && !errors.Is(err, ErrSessionDone) {
		err = errors.Join(err, sp.Rollback())
	}
	return err
}

// Rollback undoes what was done since the savepoint. A session that is over has
// ended it already.
func (sp *savepoint) Rollback() error {
	err := sp.exec(context.Background(), "rollback to savepoint "+sp.name+"; release savepoint "+sp.name)
	if errors.Is(err, ErrSessionDone) {
		return nil
	}
	return err
}
