package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// sessionConnector makes the driver's side of sessions.
type sessionConnector struct{ p *Pool }

var _ driver.Connector = sessionConnector{}

// Connect makes one for the session whose unit ctx belongs to, and shows it to
// the unit. It takes a connection of the pool when it begins.
func (c sessionConnector) Connect(ctx context.Context) (driver.Conn, error) {
	u, _ := ctx.Value(unitKey{}).(*unitContext)
	if u == nil {
		return nil, driver.ErrBadConn // nobody comes here but sessions
	}
	u.conn = &sessionConn{inner: virtual{p: c.p}, session: u.session, autocommit: u.autocommit, unserved: u.unserved, readsOnly: u.readsOnly, standby: u.standby, mu: make(turn, 1)}
	u.conn.inner.bound = u.conn.bind
	return u.conn, nil
}

// Driver returns pgx's driver.
func (c sessionConnector) Driver() driver.Driver { return virtuals{p: c.p}.Driver() }

// sessionConn is the driver's side of a session. It stands between the *sql.Tx
// that the session's statements run in and its connection, and is where a
// session ends: rows are closed, the transaction is committed or rolled back
// and the connection goes back to the pool without a question to database/sql.
//
// The reason is that database/sql keeps a lock of a *sql.Rows while its caller
// has sql.RawBytes from it, and for ever when a Scanner panics. Rows.Columns,
// Rows.Close, Tx.Commit and Tx.Rollback all wait for that lock. Only their
// callers do so from now on: the session waits for nobody but the driver.
type sessionConn struct {
	inner      virtual
	session    context.Context // the session's
	autocommit bool
	standby    bool                        // it may run at a standby
	unserved   func(error)                 // is told how beginning went, where a statement did that
	real       atomic.Pointer[realBackend] // the connection; nil before it has one

	mu   turn // held while the driver works; guards what follows
	rows []*sessionRows
	stmt map[*sessionStmt]struct{} // prepared and not closed
	late bool                      // the transaction begins with the first statement, which has not come
	lost bool                      // the connection had ended before the session did

	readsOnly bool // nothing depends on its COMMIT: it is READ ONLY, and ran nothing but plain queries

	over error       // what the driver's callers get from now on; nil while the session is open
	scan *time.Timer // see sessionRow; made by the first one

	lent    atomic.Bool  // to a function given to Session.WithPgx
	reading atomic.Int32 // results handed out as *sql.Rows and not closed
}

var (
	_ driver.Conn               = (*sessionConn)(nil)
	_ driver.ConnBeginTx        = (*sessionConn)(nil)
	_ driver.ConnPrepareContext = (*sessionConn)(nil)
	_ driver.ExecerContext      = (*sessionConn)(nil)
	_ driver.QueryerContext     = (*sessionConn)(nil)
	_ driver.SessionResetter    = (*sessionConn)(nil)
	_ driver.Validator          = (*sessionConn)(nil)
	_ driver.NamedValueChecker  = (*sessionConn)(nil)
)

// turn is a mutex for which one can wait a limited time.
type turn chan struct{}

func (t turn) Lock()   { t <- struct{}{} }
func (t turn) Unlock() { <-t }

// within takes the turn if it comes before d is over.
func (t turn) within(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case t <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

// lock waits for its turn to use the connection, which ends with the session.
// While it is lent there is none: the caller may be the function that has it.
func (c *sessionConn) lock() error {
	if c.lent.Load() {
		return errLent
	}
	c.mu.Lock()
	if c.over != nil {
		defer c.mu.Unlock()
		return c.over
	}
	return nil
}

// statementContext hides the end of a statement's context from database/sql,
// which closes rows when it comes: that waits for the same lock, and with it
// everything that the rows' own reader then asks. The session's rows do it here.
type statementContext struct {
	context.Context
	scanStuck func() // for a *sql.Row, else nil
}

func (statementContext) Deadline() (t time.Time, ok bool) { return t, false }
func (statementContext) Done() <-chan struct{}            { return nil }
func (statementContext) Err() error                       { return nil }

// bound returns the context to run a statement under. One that would not end
// at all ends with the session's: a rollback cannot wait for it.
func (c *sessionConn) bound(ctx context.Context) context.Context {
	if s, ok := ctx.(statementContext); ok {
		ctx = s.Context
	}
	if ctx.Done() != nil {
		return ctx
	}
	return boundContext{ctx, c.session}
}

// errSessionLost is the error of a statement of a session without a transaction
// whose connection ended while the session did nothing. It may have left state in
// it that the statement relies on, so the statement is not tried elsewhere.
var errSessionLost = fmt.Errorf("pool: the session's connection was lost since its last statement, by the server (idle_session_timeout, a restart) or the network; this statement was not executed: %w", io.ErrUnexpectedEOF)

// lossOf tells the session's caller what database/sql is told by driver.ErrBadConn.
func lossOf(err error) error {
	if errors.Is(err, driver.ErrBadConn) {
		return errSessionLost
	}
	return err
}

// BeginTx begins the session's transaction; with WithAutocommit there is none.
func (c *sessionConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := c.lock(); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	if c.autocommit {
		return sessionTx{c}, c.inner.hold(ctx)
	}
	err := c.inner.beginLater(ctx, opts, c.standby)
	c.late = c.inner.isLate()
	return sessionTx{c}, err
}

// realBackend is a connection that can be seen by who does not have the turn.
type realBackend struct{ backend }

// bind notes the connection that the session has now. Until its transaction has
// begun it may get another, in place of a dead one; nil is for none.
func (c *sessionConn) bind(b backend) {
	if b == nil {
		c.real.Store(nil)
		return
	}
	c.real.Store(&realBackend{b})
}

// backend is the session's connection; nil before it has one.
func (c *sessionConn) backend() backend {
	if r := c.real.Load(); r != nil {
		return r.backend
	}
	return nil
}

// noteLocked looks at a statement that the session is to run. A READ ONLY transaction
// can still notify, or take locks that its end gives up, by functions that it calls.
func (c *sessionConn) noteLocked(query string) {
	c.readsOnly = c.readsOnly && pgdriver.Classify(query) == pgdriver.Plain
}

// ran looks at what a statement came to that the transaction may have begun with.
func (c *sessionConn) ran(err error) error {
	if !c.late {
		return lossOf(err)
	}
	c.late = c.inner.real == nil || c.inner.isLate()
	if c.inner.unserved() {
		c.unserved(err)
	} else if !c.late {
		c.unserved(nil)
	}
	return err
}

// beginInner begins a transaction in a session that has none.
func (c *sessionConn) beginInner(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := c.lock(); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	tx, err := c.inner.BeginTx(c.bound(ctx), opts)
	if err != nil {
		return nil, lossOf(err)
	}
	return innerTx{tx, c}, nil
}

// innerTx is such a transaction.
type innerTx struct {
	driver.Tx
	c *sessionConn
}

func (t innerTx) Commit() error {
	if err := t.c.lock(); err != nil {
		return err
	}
	defer t.c.mu.Unlock()
	return t.Tx.Commit()
}

// Rollback has nothing to do when the session is over: its connection was not
// given back with a transaction.
func (t innerTx) Rollback() error {
	if t.c.lock() != nil {
		return nil
	}
	defer t.c.mu.Unlock()
	return t.Tx.Rollback()
}

// Begin is BeginTx for callers without a context; database/sql is none of them.
func (c *sessionConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// ExecContext runs a statement that returns no rows.
func (c *sessionConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.lock(); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	c.noteLocked(query)
	result, err := c.inner.ExecContext(c.bound(ctx), query, args)
	return result, c.ran(err)
}

// QueryContext runs a statement that returns rows. All results of a session come
// by here, or by sessionStmt: so the session knows what is open.
func (c *sessionConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.query(ctx, func(ctx context.Context) (driver.Rows, error) {
		c.noteLocked(query)
		return c.inner.QueryContext(ctx, query, args)
	})
}

// query makes run's result one of the session's.
func (c *sessionConn) query(ctx context.Context, run func(ctx context.Context) (driver.Rows, error)) (driver.Rows, error) {
	if err := c.lock(); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	statement := c.bound(ctx)
	if err := statement.Err(); err != nil {
		return nil, err
	}
	inner, err := run(statement)
	if err = c.ran(err); err != nil {
		return nil, err
	}
	if s, ok := ctx.(statementContext); ok && s.scanStuck != nil {
		return &sessionRow{row: readRow(inner), c: c, late: s.scanStuck}, nil
	}
	return c.openRowsLocked(statement, inner), nil
}

// Prepare is PrepareContext for callers without a context; database/sql is none of them.
func (c *sessionConn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext prepares a statement, which lives until the session ends.
func (c *sessionConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.lock(); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	c.noteLocked(query)
	inner, err := c.inner.PrepareContext(c.bound(ctx), query)
	if err = c.ran(err); err != nil {
		return nil, err
	}
	return c.prepared(inner), nil
}

// CheckNamedValue leaves arguments to the connection.
func (*sessionConn) CheckNamedValue(*driver.NamedValue) error { return nil }

// ResetSession is never needed: a session's connection is used for one session.
func (*sessionConn) ResetSession(context.Context) error { return driver.ErrBadConn }

// IsValid makes database/sql close this side of the connection rather than keep it.
func (*sessionConn) IsValid() bool { return false }

// Close is database/sql's end of a session that did not begin, or has ended.
func (c *sessionConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over == nil {
		_ = c.finishLocked(false, sql.ErrTxDone)
	}
	return nil
}

// sessionTx is the transaction as database/sql sees it. The session ends it, and
// database/sql rolls it back only afterwards, or when it never began.
type sessionTx struct{ c *sessionConn }

func (t sessionTx) Commit() error   { return t.c.Close() }
func (t sessionTx) Rollback() error { return t.c.Close() }
