package pool

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

var (
	errLent         = errors.New("pool: the session's connection is lent to the function given to Session.WithPgx; use the *pgx.Conn there, and the session after it has returned")
	errStillReading = errors.New("pool: rows of the session are open: close them before Session.WithPgx")
)

// WithPgx calls fn with pgx's connection of the session, inside its transaction,
// for what goes beyond single statements: COPY, batches, custom types, large
// objects. It takes the connection and begins the transaction if no statement
// has done so, and returns fn's error. Rows of the session must be closed.
//
// What fn does is the session's work like any other: it is committed or rolled
// back with it. fn may use the connection until it returns, from one goroutine at
// a time, and must not close it. Until then all other calls of the session fail, so
// that nothing waits for itself. The transaction is the session's to end: pgx's
// Begin would not begin another one, and its Commit, like a COMMIT as SQL, makes
// the session's end report ErrTransactionEnded. Savepoints are begun with SQL. A
// panic in fn goes on, and costs the connection and with it the transaction.
//
// Ending ctx, or the session's context where ctx does not end, cancels what
// runs under the context that fn gets. Pools made by New have no pgx connection.
func (s *Session) WithPgx(ctx context.Context, fn func(ctx context.Context, c *pgx.Conn) error) error {
	u, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	return s.translate(u.conn.lend(ctx, fn))
}

// lend calls fn with the connection, which is its own meanwhile.
func (c *sessionConn) lend(ctx context.Context, fn func(ctx context.Context, c *pgx.Conn) error) error {
	if err := c.lock(); err != nil {
		return err
	}
	defer c.mu.Unlock()
	ctx = c.bound(ctx)
	if c.late {
		if err := c.ran(c.inner.beginNow(ctx)); err != nil {
			return err
		}
	}
	real, ok := c.backend().(*conn)
	switch {
	case !ok:
		return errNoPgx
	case len(c.rows) > 0:
		return errStillReading
	}
	c.readsOnly = false
	c.lent.Store(true)
	defer c.lent.Store(false)
	return pgdriver.Canceled(ctx, real.Lend(func(pc *pgx.Conn) error { return fn(ctx, pc) }))
}

// isLent reports whether the session's connection is with a function given to WithPgx.
func (s *Session) isLent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unit != nil && s.unit.conn.lent.Load()
}
