package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// pgxConn is pgx's connection under a name that leaves its method Conn visible
// where it is embedded.
type pgxConn = stdlib.Conn

// conn is a real connection: pgx's, with a record of what it is doing. The
// *sql.DB of owner.go owns it; whoever a permit was granted for uses it.
//
// Like every driver.Conn it is used by one goroutine at a time; only the
// atomics are read by others.
type conn struct {
	*pgxConn
	*gate.Slot
	held      *sql.Conn  // keeps it checked out of its owner, while it is not at home there
	socket    *socket    // the connection's own socket, below any TLS
	connCheck *connCheck // to look at it while idle
	cancel    cancelState
	watch     watch
	exchange  exchange

	dialedAt     time.Time
	mode         *mode                            // how it was set up
	telling      bool                             // the answer to a query tells whether it was executed
	pipelines    bool                             // statements of several callers may share it
	link         *pgdriver.Link                   // to run them; nil until some did
	known        map[*pgdriver.Statement]struct{} // see knows
	fleetSession *fleet.Session                   // its part of the fleet's budget; nil without a fleet

	lastUsed   time.Time      // when it was last given back in good order
	breakages  uint64         // connOptions.breakages at that time
	trusted    bool           // its present holder got it without a look at the socket
	open       *rows          // of the latest query, until they are closed
	inputs     map[string]int // how many parameters each statement has that was prepared here
	inTx       bool
	readOnlyTx bool // which its caller made read-only
	writing    writing
	txEnded    bool // the server has reported that it has no transaction, while inTx
	closed     bool
	options    *connOptions
}

// connOptions is what every connection of a pool shares.
type connOptions struct {
	expired func(s *gate.Slot, now time.Time) bool // whether it should be replaced now

	breakages     atomic.Uint64 // how many connections were found broken
	writableSince atomic.Int64  // nanoseconds since 1970: what was dialed before may lead to a server that takes no writes
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
)

// listen has pgx tell the connection what it needs to know.
func (c *conn) listen(cc *pgx.ConnConfig) {
	c.exchange.sending, c.exchange.farewell = c.watch.begin, c.saidFarewell
	cc.BuildFrontend = c.exchange.frontend
	cc.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		h := &canceller{pg: pg, state: &c.cancel, exchange: &c.exchange}
		c.watch.init(h)
		return h
	}
}

// ready makes the connection the holder's of p, who has just been granted it.
func (c *conn) ready(ctx context.Context, p *gate.Permit) error {
	if c.isStaleWriter() {
		c.retireFor(connstate.CloseBroken)
	}
	if c.RetiredFor() != connstate.CloseUnknown {
		return driver.ErrBadConn
	}
	c.trusted = p.Want != gate.WantConn && c.isFresh()
	if !c.trusted && c.awake(ctx) != nil {
		c.retireFor(connstate.CloseBroken)
		return driver.ErrBadConn
	}
	c.Activity.Store(connstate.ActivityIdle)
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
func (c *conn) isFresh() bool {
	return time.Since(c.lastUsed) < freshFor && c.breakages == c.options.breakages.Load() &&
		c.telling && !c.cancel.isPending() && !c.IsClosed()
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
	if c.connCheck.isQuiet() {
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

// verdict is why the connection cannot go on when its holder gives it back;
// connstate.CloseUnknown when it can.
func (c *conn) verdict(now time.Time) connstate.CloseReason {
	reason := c.judgeState(now)
	if reason == connstate.CloseUnknown {
		c.lastUsed, c.breakages = now, c.options.breakages.Load()
	}
	return reason
}

func (c *conn) judgeState(now time.Time) connstate.CloseReason {
	switch {
	case c.RetiredFor() != connstate.CloseUnknown:
		return c.RetiredFor()
	case c.cancel.uncertain.Load():
		return connstate.CloseCanceled
	case c.IsClosed():
		return connstate.CloseBroken
	case c.PgConn().TxStatus() != 'I', c.PgConn().IsBusy():
		return connstate.CloseUnclean
	case c.IsSurplus():
		return connstate.CloseSurplus
	case c.options.expired(c.Slot, now):
		return connstate.CloseRecycled
	}
	return connstate.CloseUnknown
}

// Close ends the connection; its owner calls it. The slot comes free when the
// server has ended its session. That the farewell did not get through is no
// error: the end is the same.
func (c *conn) Close() error {
	if c.Activity.Load() == connstate.ActivityReclaimed {
		return nil // its holder still has it, and says the farewell
	}
	if c.closed {
		return nil
	}
	c.closed = true
	switch {
	case c.cancel.uncertain.Load():
		c.retireFor(connstate.CloseCanceled)
	case c.IsClosed():
		c.retireFor(connstate.CloseBroken)
	}
	c.Gate().Lost(c.Slot)
	_ = c.pgxConn.Close()
	return nil
}

// close has the owner close the connection. One that was taken away from its
// holder has left the owner already.
func (c *conn) close() {
	if c.Activity.Load() == connstate.ActivityReclaimed {
		_ = c.pgxConn.Close()
		return
	}
	if c.held == nil {
		_ = c.Close()
		return
	}
	_ = c.held.Close()
}

// hangUp ends the session of a connection that was taken away from its holder.
// Whoever gets its place cannot come before this.
func (c *conn) hangUp() {
	c.socket.hangUp()
	_ = c.held.Close()
}

// pgx is pgx's connection.
func (c *conn) pgx() *pgx.Conn { return c.pgxConn.Conn() }

// saidFarewell has the server see the end of the stream as soon as pgx has said
// that it will send no more. pgx itself would wait for the server first, up to
// 15 s, and the server in the middle of a statement for the end of the stream.
func (c *conn) saidFarewell() {
	if c.socket != nil {
		_ = c.socket.Close()
	}
}

// discard closes a connection in the middle of what its holder does with it.
func (c *conn) discard(reason connstate.CloseReason) {
	c.retireFor(reason)
	c.close()
}

// IsClosed reports whether pgx has closed the connection.
func (c *conn) IsClosed() bool { return c.pgxConn.Conn().IsClosed() }

// PgConn is pgx's low-level connection.
func (c *conn) PgConn() *pgconn.PgConn { return c.pgxConn.Conn().PgConn() }
