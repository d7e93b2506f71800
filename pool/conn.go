package pool

import (
	"cmp"
	"context"
	"database/sql/driver"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// conn is a connection as database/sql sees it: pgx's, with the seam where
// permits are bound and given back, and with a record of what it is doing.
// Embedding *stdlib.Conn keeps every optional driver interface, and
// interface{ Conn() *pgx.Conn } for users of sql.Conn.Raw.
//
// Like every driver.Conn it is used by one goroutine at a time; only the
// atomics are read by others.
type conn struct {
	*stdlib.Conn
	g      *gate
	slot   *slot
	socket *netConn // the connection's own socket, below any TLS; nil on platforms that hide it
	cancel cancelState

	born       time.Time
	recycleAt  time.Time // when it should be replaced: PoolRecycle, less a random part
	generation uint64    // the pool's, when it was dialed
	mode       *mode     // how it was set up

	permit     *permit // who uses it; nil while idle
	activity   atomic.Int32
	statements atomic.Uint32 // how many were begun
	retire     atomic.Int32  // a closeReason set by whoever wants it closed when it comes back
	pid        uint32
	rows       rows
	described  map[string]int // parameters of statements that leases have checked, by text
	closed     bool
	options    *connOptions
}

// connOptions is what every connection of a pool shares.
type connOptions struct {
	expired  func(c *conn, now time.Time) bool // whether it should be replaced now
	released func(p *permit)                   // told of every permit that came back
}

var (
	_ driver.Conn               = (*conn)(nil)
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.ExecerContext      = (*conn)(nil)
	_ driver.QueryerContext     = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
	_ driver.NamedValueChecker  = (*conn)(nil)
)

// What a connection is doing, for those who look at its holder.
const (
	activityIdle int32 = iota
	activityRunning
	activityRows
	activityTx
	activityReclaimed // taken away from its holder; see reclaim.go
)

func activityName(a int32) string {
	switch a {
	case activityRunning:
		return "running"
	case activityRows:
		return "rows open"
	case activityTx:
		return "idle in transaction"
	case activityReclaimed:
		return "reclaimed"
	}
	return "idle"
}

// ResetSession is called when database/sql takes the connection from its free
// list for a caller: the permit in ctx is bound to it. ErrBadConn makes
// database/sql take another.
func (c *conn) ResetSession(ctx context.Context) error {
	if c.IsClosed() {
		return driver.ErrBadConn
	}
	if err := c.awake(ctx); err != nil {
		c.retire.Store(int32(closeBroken))
		return driver.ErrBadConn
	}
	p := permitOf(ctx)
	if p == nil {
		return driver.ErrBadConn // nobody gets past the gate; Connect refuses likewise
	}
	c.use(p)
	return nil
}

// use binds the permit p.
func (c *conn) use(p *permit) {
	c.permit = p
	c.activity.Store(activityIdle)
	c.g.bind(p, c)
}

// awake makes sure that the server is still there: a look at the socket, and a
// round trip only when something has arrived on it.
func (c *conn) awake(ctx context.Context) error {
	if err := c.settle(ctx); err != nil {
		return err
	}
	if c.socket != nil && peek(c.socket.Conn) {
		return nil
	}
	return c.PgConn().Ping(ctx)
}

// settle absorbs a cancel request that was confirmed but may not have arrived:
// PostgreSQL signals the backend asynchronously. The signal is at the latest
// seen by the next statement, so that one is an empty query of ours.
func (c *conn) settle(ctx context.Context) error {
	if c.cancel.uncertain.Load() {
		return driver.ErrBadConn
	}
	for c.cancel.sent.Load() {
		err := c.PgConn().Ping(ctx)
		if err == nil {
			c.cancel.sent.Store(false)
			return nil
		}
		if !isCanceledByServer(err) {
			return err
		}
	}
	return nil
}

func isCanceledByServer(err error) bool {
	return sqlState(err) == stateQueryCanceled
}

// IsValid is called when the holder gives the connection back, and says whether
// it may be used again. The permit goes back here.
func (c *conn) IsValid() bool {
	reason := c.verdict(time.Now())
	if reason != closeUnknown {
		c.retire.CompareAndSwap(int32(closeUnknown), int32(reason))
		c.lose()
		return false
	}
	c.release(nil)
	return true
}

// verdict is why the connection cannot go on; closeUnknown when it can.
func (c *conn) verdict(now time.Time) closeReason {
	switch {
	case c.retire.Load() != int32(closeUnknown):
		return closeReason(c.retire.Load())
	case c.cancel.uncertain.Load():
		return closeCanceled
	case c.IsClosed():
		return closeBroken
	case c.PgConn().TxStatus() != 'I', c.PgConn().IsBusy():
		return closeUnclean
	case c.options.expired(c, now):
		return closeRecycled
	case c.g.overLimit():
		return closeSurplus
	}
	return closeUnknown
}

// lose gives the permit back and the slot up in one step: the connection is
// about to be closed, and nobody may be promised its place.
func (c *conn) lose() {
	if c.permit == nil {
		c.g.lost(c)
		return
	}
	c.release(func(g *gate) { g.lostLocked(c) })
}

// release gives the permit back, if there is one.
func (c *conn) release(lost func(*gate)) {
	p := c.permit
	if p == nil {
		return
	}
	c.permit = nil
	if c.g.unbind(p, lost) {
		c.options.released(p)
	}
	if lost != nil {
		c.g.demand()
	}
}

// Close ends the connection. The slot comes free when the server has ended its session.
func (c *conn) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	if c.IsClosed() {
		c.retire.CompareAndSwap(int32(closeUnknown), int32(closeBroken))
	}
	c.lose()
	return c.Conn.Close()
}

// IsClosed reports whether pgx has closed the connection.
func (c *conn) IsClosed() bool { return c.Conn.Conn().IsClosed() }

// PgConn is pgx's low-level connection.
func (c *conn) PgConn() *pgconn.PgConn { return c.Conn.Conn().PgConn() }

// begin notes that a statement starts, and refuses it on a connection that was
// taken away from its holder.
func (c *conn) begin(ctx context.Context) error {
	if c.cancel.sent.Load() || c.cancel.uncertain.Load() {
		if err := c.settle(ctx); err != nil {
			return cmp.Or(ctx.Err(), driver.ErrBadConn)
		}
	}
	c.statements.Add(1)
	before := c.activity.Load()
	if before == activityReclaimed || !c.activity.CompareAndSwap(before, activityRunning) {
		return ErrReclaimed
	}
	return nil
}

// end notes that a statement is over.
func (c *conn) end() {
	after := activityIdle
	if !c.IsClosed() && c.PgConn().TxStatus() != 'I' {
		after = activityTx
	}
	c.activity.CompareAndSwap(activityRunning, after)
}

// ExecContext runs a statement that returns no rows.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	defer c.end()
	return c.Conn.ExecContext(ctx, query, args)
}

// QueryContext runs a statement that returns rows.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	r, err := c.Conn.QueryContext(ctx, query, args)
	return c.opened(r, err)
}

// opened notes that rows are open, or that the query failed.
func (c *conn) opened(r driver.Rows, err error) (driver.Rows, error) {
	inner, ok := r.(*stdlib.Rows)
	if err != nil || !ok {
		c.end()
		return r, err
	}
	c.activity.CompareAndSwap(activityRunning, activityRows)
	c.rows = rows{Rows: inner, c: c}
	return &c.rows, nil
}

// Ping makes a round trip.
func (c *conn) Ping(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	return c.Conn.Ping(ctx)
}

// PrepareContext prepares a statement on this connection.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	defer c.end()
	if c.mode.pooler {
		return c.describe(ctx, query)
	}
	s, err := c.Conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &stmt{Stmt: s, c: c, query: query, inputs: s.NumInput()}, nil
}
