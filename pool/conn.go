package pool

import (
	"context"
	"database/sql/driver"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/internal/fleet"
)

// pgxConn is pgx's connection under a name that leaves its method Conn visible
// where it is embedded.
type pgxConn = stdlib.Conn

// conn is a connection as database/sql sees it: pgx's, with the seam where
// permits are bound and given back, and with a record of what it is doing.
// Embedding pgx's keeps every optional driver interface, and
// interface{ Conn() *pgx.Conn } for users of sql.Conn.Raw.
//
// Like every driver.Conn it is used by one goroutine at a time; only the
// atomics are read by others.
type conn struct {
	*pgxConn
	g      *gate
	slot   *slot
	socket *netConn  // the connection's own socket, below any TLS
	hole   *peephole // to look at it while idle
	cancel cancelState
	watch  watch
	said   dialogue

	born       time.Time
	recycleAt  time.Time      // when it is due to be replaced: a random moment before PoolRecycle is over
	generation uint64         // the pool's, when it was dialed
	mode       *mode          // how it was set up
	telling    bool           // the answer to a query tells whether it was executed
	place      *fleet.Session // in the fleet's budget; nil without a fleet

	permit    *permit   // who uses it; nil while idle
	heard     time.Time // when it was last given back in good order
	breakages uint64    // connOptions.breakages at that time
	trusted   bool      // its present holder got it without a look at the socket
	activity  atomic.Int32
	retired   atomic.Int32 // a closeReason; see retireFor
	pid       uint32
	open      *rows          // of the latest query, until they are closed
	inputs    map[string]int // how many parameters each statement has that was prepared here
	inTx      bool
	closed    bool
	stray     bool // taken away from its holder, who still has it; guarded by gate.mu
	options   *connOptions
}

// connOptions is what every connection of a pool shares.
type connOptions struct {
	expired  func(c *conn, now time.Time) bool // whether it should be replaced now
	released func(p *permit)                   // told of every permit that came back

	breakages atomic.Uint64 // how many connections were found broken
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

// listen has pgx tell the connection what it needs to know.
func (c *conn) listen(cc *pgx.ConnConfig) {
	c.said.sending = c.watch.begin
	cc.BuildFrontend = c.said.frontend
	cc.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		h := &canceller{pg: pg, state: &c.cancel, said: &c.said}
		c.watch.init(h)
		return h
	}
}

// ResetSession is called when database/sql takes the connection from its free
// list for a caller: the permit in ctx is bound to it. ErrBadConn makes
// database/sql close it and take another.
func (c *conn) ResetSession(ctx context.Context) error {
	p := permitOf(ctx)
	if p == nil {
		return driver.ErrBadConn // nobody gets past the gate; Connect refuses likewise
	}
	if c.retiredFor() != closeUnknown {
		return driver.ErrBadConn // reclaimed in the moment in which it was given back
	}
	c.trusted = !p.owner && c.isFresh(p.grantedAt())
	if !c.trusted && c.awake(ctx) != nil {
		c.retireFor(closeBroken)
		return driver.ErrBadConn
	}
	c.use(p)
	return nil
}

// freshFor is how long after its last use a connection is handed on without a
// look at its socket. A look is a system call, 2 % of a short query, and under
// load there would be one for each.
const freshFor = time.Millisecond

// isFresh reports whether the connection has served so lately that what it is
// used for next may find out by itself whether its session still exists: a query
// that meets the end of the session is tried elsewhere (retry.go). Whatever
// cannot be is preceded by a look, see ExecContext. Where one connection broke
// meanwhile, the server may have been restarted, and each of the others is suspect.
//
// granted is when the connection's next user was let in: a moment ago, unless
// that one had to seek; then the connection has served since, and maybe rested too.
func (c *conn) isFresh(granted time.Time) bool {
	rested := granted.Sub(c.heard)
	if rested < 0 {
		rested = time.Since(c.heard)
	}
	return rested < freshFor && c.breakages == c.options.breakages.Load() &&
		c.telling && !c.cancel.isPending() && !c.IsClosed()
}

// use binds the permit p.
func (c *conn) use(p *permit) {
	c.permit = p
	c.activity.Store(activityIdle)
	c.g.bind(p, c)
}

// awake makes sure that the server is still there: a look at the socket, and a
// round trip only when something has arrived on it. The round trip does not end
// with ctx: a caller who goes away must not take the connection along.
//
// What the look finds can be tried elsewhere; a statement that was sent to a
// session at its end may not be.
func (c *conn) awake(ctx context.Context) error {
	if c.IsClosed() {
		return driver.ErrBadConn
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	if c.hole.isQuiet() {
		return nil
	}
	return c.roundTrip(ctx)
}

// settle absorbs a cancel request that was confirmed but may not have arrived:
// PostgreSQL signals the backend asynchronously. The signal is at the latest
// seen by the next statement, so that one is an empty query of ours.
func (c *conn) settle(ctx context.Context) error {
	if c.cancel.uncertain.Load() {
		return driver.ErrBadConn
	}
	for c.cancel.sent.Load() {
		err := c.roundTrip(ctx)
		if err != nil && sqlState(err) != stateQueryCanceled {
			return err
		}
		c.cancel.sent.Store(err != nil)
	}
	return nil
}

func (c *conn) roundTrip(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelGrace)
	defer cancel()
	return c.shield(func() error { return c.PgConn().Ping(ctx) })
}

// IsValid is called when the holder gives the connection back, and says whether
// it may be used again. The permit goes back here.
func (c *conn) IsValid() bool {
	now := time.Now()
	reason := c.verdict(now)
	if reason != closeUnknown {
		c.retireFor(reason)
		c.lose()
		return false
	}
	c.heard, c.breakages = now, c.options.breakages.Load()
	c.release(now, nil)
	return true
}

// verdict is why the connection cannot go on; closeUnknown when it can.
func (c *conn) verdict(now time.Time) closeReason {
	switch {
	case c.retiredFor() != closeUnknown:
		return c.retiredFor()
	case c.cancel.uncertain.Load():
		return closeCanceled
	case c.IsClosed():
		return closeBroken
	case c.PgConn().TxStatus() != 'I', c.PgConn().IsBusy():
		return closeUnclean
	case c.surplus(), c.g.overLimit.Load():
		return closeSurplus
	case c.options.expired(c, now):
		return closeRecycled
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
	c.release(time.Now(), func(g *gate) { g.lostLocked(c) })
}

// release gives the permit back, if there is one.
func (c *conn) release(now time.Time, lost func(*gate)) {
	p := c.permit
	if p == nil {
		return
	}
	c.permit = nil
	if c.g.unbind(p, now, lost) {
		c.options.released(p)
	}
	if lost != nil {
		c.g.demand()
	}
}

// Close ends the connection. The slot comes free when the server has ended its
// session. That the farewell did not get through is no error: the end is the same.
func (c *conn) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	switch {
	case c.cancel.uncertain.Load():
		c.retireFor(closeCanceled)
	case c.IsClosed():
		c.retireFor(closeBroken)
	}
	c.lose()
	c.g.strayReturned(c)
	_ = c.pgxConn.Close()
	return nil
}

// discard closes a connection that database/sql does not know, or will not
// come back to.
func (c *conn) discard(reason closeReason) {
	c.retireFor(reason)
	_ = c.Close()
}

// IsClosed reports whether pgx has closed the connection.
func (c *conn) IsClosed() bool { return c.pgxConn.Conn().IsClosed() }

// PgConn is pgx's low-level connection.
func (c *conn) PgConn() *pgconn.PgConn { return c.pgxConn.Conn().PgConn() }
