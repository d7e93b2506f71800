package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// leaseForeign leases a connection of a *sql.DB that is not the pool's own: of
// go-sqlmock in a test, of another driver. Nothing of the pool is in its driver
// seam, so the permit is given back when the lease is.
func (p *Pool) leaseForeign(k *permit) (driver.Conn, error) {
	held, err := p.foreign.Conn(k)
	if err != nil {
		p.leave(k)
		return nil, err
	}
	l := &foreignLease{p: p, permit: k, held: held}
	if err := held.Raw(func(dc any) error { l.inner = dc.(driver.Conn); return nil }); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// foreignLease passes on what the inner connection has; where that lacks
// something optional, driver.ErrSkip sends database/sql the way it would have
// gone by itself.
type foreignLease struct {
	p      *Pool
	permit *permit
	held   *sql.Conn
	inner  driver.Conn
	inTx   bool
	bad    bool // the inner connection said so: it must not be given back as if it were good
}

// note remembers what database/sql would tell the inner connection's own pool.
func (l *foreignLease) note(err error) error {
	l.bad = l.bad || errors.Is(err, driver.ErrBadConn)
	return err
}

// begin notes for the permit's holder that a statement runs, until the returned
// function is called.
func (l *foreignLease) begin() (end func()) {
	l.permit.foreign.Store(activityRunning)
	return l.end
}

func (l *foreignLease) end() {
	after := activityIdle
	if l.inTx {
		after = activityTx
	}
	l.permit.foreign.Store(after)
}

var (
	_ driver.Conn               = (*foreignLease)(nil)
	_ driver.ConnBeginTx        = (*foreignLease)(nil)
	_ driver.ConnPrepareContext = (*foreignLease)(nil)
	_ driver.ExecerContext      = (*foreignLease)(nil)
	_ driver.QueryerContext     = (*foreignLease)(nil)
	_ driver.Pinger             = (*foreignLease)(nil)
	_ driver.SessionResetter    = (*foreignLease)(nil)
	_ driver.Validator          = (*foreignLease)(nil)
	_ driver.NamedValueChecker  = (*foreignLease)(nil)
)

// Prepare is the inner connection's.
func (l *foreignLease) Prepare(query string) (driver.Stmt, error) {
	s, err := l.inner.Prepare(query)
	return s, l.note(err)
}

// PrepareContext is the inner connection's, if it has it.
func (l *foreignLease) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c, ok := l.inner.(driver.ConnPrepareContext); ok {
		s, err := c.PrepareContext(ctx, query)
		return s, l.note(err)
	}
	return l.Prepare(query)
}

// ExecContext is the inner connection's, if it has it.
func (l *foreignLease) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c, ok := l.inner.(driver.ExecerContext); ok {
		defer l.begin()()
		r, err := c.ExecContext(ctx, query, args)
		return r, l.note(err)
	}
	return nil, driver.ErrSkip
}

// QueryContext is the inner connection's, if it has it.
func (l *foreignLease) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c, ok := l.inner.(driver.QueryerContext); ok {
		defer l.begin()()
		r, err := c.QueryContext(ctx, query, args)
		return r, l.note(err)
	}
	return nil, driver.ErrSkip
}

// Begin is the inner connection's.
func (l *foreignLease) Begin() (driver.Tx, error) {
	return l.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx is the inner connection's, if it has it; else its Begin.
func (l *foreignLease) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	defer l.begin()()
	tx, err := l.beginTx(ctx, opts)
	if err != nil {
		return nil, l.note(err)
	}
	l.inTx = true
	return foreignTx{tx, l}, nil
}

func (l *foreignLease) beginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c, ok := l.inner.(driver.ConnBeginTx); ok {
		return c.BeginTx(ctx, opts)
	}
	if opts.Isolation != 0 || opts.ReadOnly {
		return nil, errors.New("pool: this driver knows neither isolation levels nor read-only transactions")
	}
	return l.inner.Begin() //nolint:staticcheck // all that such a driver has
}

// foreignTx notes the end of a transaction.
type foreignTx struct {
	driver.Tx
	l *foreignLease
}

func (t foreignTx) Commit() error {
	defer t.l.begin()()
	t.l.inTx = false
	return t.l.note(t.Tx.Commit())
}

func (t foreignTx) Rollback() error {
	defer t.l.begin()()
	t.l.inTx = false
	return t.l.note(t.Tx.Rollback())
}

// Ping is the inner connection's, if it has it.
func (l *foreignLease) Ping(ctx context.Context) error {
	if c, ok := l.inner.(driver.Pinger); ok {
		defer l.begin()()
		return l.note(c.Ping(ctx))
	}
	return nil
}

// CheckNamedValue is the inner connection's, if it has it.
func (l *foreignLease) CheckNamedValue(v *driver.NamedValue) error {
	if c, ok := l.inner.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// ResetSession is never needed: a lease is used once.
func (*foreignLease) ResetSession(context.Context) error { return driver.ErrBadConn }

// IsValid makes database/sql give the lease back instead of keeping it.
func (*foreignLease) IsValid() bool { return false }

// Close gives the connection back to its *sql.DB, and then the permit.
func (l *foreignLease) Close() error {
	if l.bad {
		_ = l.held.Raw(func(any) error { return driver.ErrBadConn }) // has it closed instead
	}
	err := l.held.Close()
	l.p.leave(l.permit)
	if l.bad {
		return nil
	}
	return err
}
