package pgdriver

import (
	"context"
	"database/sql/driver"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// pgxConn is pgx's connection under a name that leaves its method Conn visible
// where it is embedded.
type pgxConn = stdlib.Conn

// Conn is one server session: pgx's connection, with a record of what it is doing,
// whether it can be used again, and whether its statement may have been executed.
//
// Like every driver.Conn it is used by one goroutine at a time; only Traffic,
// Doing, Outlives and TellReclaimed may be called by others meanwhile.
type Conn struct {
	*pgxConn
	slot     Slot
	shared   *Shared
	settings Settings
	owner    Owner      // nil until SetOwner
	socket   *Socket    // the connection's own socket, below any TLS
	check    *connCheck // looks at the socket while nothing is expected on it
	idle     *connCheck // the same for somebody who does not have the connection
	cancel   cancelState
	watch    watch
	exchange exchange

	dialedAt  time.Time
	telling   bool // the answer to a query tells whether it was executed
	pipelines bool // statements of several callers may share it
	traced    bool // pgx tells a tracer of its statements
	writing   writing

	lastUsed   time.Time // when it was last given back in good order
	breakages  uint64    // Shared.breakages at that time
	trusted    bool      // its present holder got it without a look at the socket
	late       late
	inTx       bool
	readOnlyTx bool // which its caller made read-only
	txEnded    bool // the server has reported that it has no transaction, while inTx

	// Others look at these: see Outlives.
	open  atomic.Pointer[rows] // of the latest query, until they are closed
	under atomic.Pointer[tx]   // the latest transaction, until its end

	said      atomic.Int32          // a connstate.EndCause: how the server ended the session, in its own words
	reclaimed atomic.Pointer[error] // what its holder is told once it has been taken away; nil: ErrReclaimed

	left leftovers

	replayed Position // what its server, a standby, is known to have replayed

	named  map[string]*named       // by text; see PrepareOwn
	inputs map[string]int          // how many parameters each statement has that was prepared here
	link   *Link                   // to run statements of several callers; nil until some ran
	known  map[*Statement]struct{} // see Knows
}

// Slot is the place of a session among those that its pool may have, as far as
// the session writes it.
type Slot interface {
	// RetireFor notes why the connection is to be closed when it comes back, and
	// reports whether it is the first reason.
	RetireFor(why connstate.CloseReason) bool
	// NoteEnd notes what ended the connection. The first cause counts.
	NoteEnd(by connstate.EndCause)
	// RetiredFor is that reason; CloseUnknown as long as the connection may stay.
	RetiredFor() connstate.CloseReason
	// State is where the session notes what its holder does: connstate.ActivityIdle
	// and so on. It becomes ActivityReclaimed when the connection is taken away.
	State() *atomic.Int32
}

// Owner is told when the session has to end in the middle of a call.
type Owner interface {
	// Discard closes the connection now.
	Discard()
}

// Shared is what the sessions of one pool tell each other. Its zero value is
// ready for use, by any number of goroutines.
type Shared struct {
	breakages     atomic.Uint64 // how many connections were found broken
	writableSince atomic.Int64  // nanoseconds since 1970: what was dialed before may lead to a server that takes no writes
	Canceled      atomic.Uint64 // how many statements were cancelled on the server
}

// Settings say how a session is set up.
type Settings struct {
	Pooled      bool   // behind a pooler, which gives each transaction whatever session is free
	BeginSuffix string // run with every BEGIN
	Reset       bool   // what a holder leaves behind is done away with before the next one
	Prepared    bool   // a function of the user's prepares the connection: it may have registered types
}

var (
	_ driver.Conn               = (*Conn)(nil)
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.Pinger             = (*Conn)(nil)
)

// New returns a session that is about to be dialed with cc, which it changes so
// as to learn what pgx says and hears. Connected follows, or nothing.
func New(slot Slot, shared *Shared, settings Settings, cc *pgx.ConnConfig) *Conn {
	c := &Conn{slot: slot, shared: shared, settings: settings, dialedAt: time.Now(), writing: writingOf(cc)}
	c.telling = !settings.Pooled && cc.DefaultQueryExecMode != pgx.QueryExecModeSimpleProtocol
	// A pipeline knows neither tracers nor types that were registered.
	c.pipelines = !settings.Pooled && cc.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement && cc.Tracer == nil && !settings.Prepared && !settings.Reset
	c.traced = cc.Tracer != nil
	c.cancel.count = &shared.Canceled
	c.listen(cc)
	return c
}

// listen has pgx tell the connection what it needs to know.
func (c *Conn) listen(cc *pgx.ConnConfig) {
	c.hearEnd(cc)
	c.exchange.sending, c.exchange.farewell = c.watch.begin, c.saidFarewell
	cc.BuildFrontend = c.exchange.frontend
	cc.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		h := &canceller{pg: pg, state: &c.cancel, exchange: &c.exchange}
		c.watch.init(h)
		return h
	}
}

// Connected takes in what the dial came to: pgx's connection over the socket.
func (c *Conn) Connected(inner *stdlib.Conn, s *Socket) {
	c.pgxConn, c.socket = inner, s
	c.check, c.idle = newConnCheck(s.Conn), newConnCheck(s.Conn)
}

// SetOwner names who closes the connection. Before that it closes itself.
func (c *Conn) SetOwner(o Owner) {
	c.owner = o
	c.exchange.timeoutsAgain = false
	c.clean() // what was asked and set until now is how the session is to be
}

// TellReclaimed sets what the holder is told if the connection is taken away from
// it. It may be called by others than the holder, before they take it away.
func (c *Conn) TellReclaimed(err error) { c.reclaimed.Store(&err) }

// errReclaimed says that the connection was taken away from its holder.
func (c *Conn) errReclaimed() error {
	if err := c.reclaimed.Load(); err != nil {
		return *err
	}
	return connstate.ErrReclaimed
}

// DialedAt is when the connection was begun.
func (c *Conn) DialedAt() time.Time { return c.dialedAt }

// Pipelines reports whether statements of several callers may share the connection.
func (c *Conn) Pipelines() bool { return c.pipelines }

// Ready makes the connection its next holder's. Where mayTrust is false, or the
// connection has rested, that begins with a look at the socket. It returns
// driver.ErrBadConn when the connection is dead.
func (c *Conn) Ready(ctx context.Context, mayTrust bool) error {
	if c.isStaleWriter() {
		c.slot.NoteEnd(connstate.EndReadOnly)
		c.RetireFor(connstate.CloseBroken)
	}
	if c.slot.RetiredFor() != connstate.CloseUnknown {
		return driver.ErrBadConn
	}
	var err error
	if sql := c.restoring(); sql != "" {
		if err = c.settle(ctx); err == nil {
			err = c.restore(ctx, sql)
		}
		c.trusted = false
	} else if c.trusted = mayTrust && c.IsFresh(); !c.trusted {
		err = c.awake(ctx)
	}
	if err == nil && c.hasLeft() {
		err, c.trusted = c.deallocateLeft(ctx), false
	}
	if err != nil {
		c.RetireFor(connstate.CloseBroken)
		return driver.ErrBadConn
	}
	c.slot.State().Store(connstate.ActivityIdle)
	return nil
}

// IsQuiet reports whether nothing has arrived on the socket, as far as that can be
// seen there. One goroutine at a time may call it, also while another uses the
// connection; then it says nothing.
func (c *Conn) IsQuiet() bool { return c.idle == nil || c.idle.isQuiet() }

// Awake finds out, with a round trip if something has arrived, whether the server
// is still there. It is for whoever has the connection.
func (c *Conn) Awake(ctx context.Context) bool { return c.awake(ctx) == nil }

// FreshFor is how long after its last use a connection is handed on without a
// look at its socket. A look is a system call, 2 % of a short query, and under
// load there would be one for each.
const FreshFor = time.Millisecond

// IsFresh reports whether the connection has served so lately that what it is
// used for next may find out by itself whether its session still exists: a query
// that meets the end of the session is tried elsewhere (judge.go). Whatever
// cannot be is preceded by a look, see ExecContext. Where one connection broke
// meanwhile, the server may have been restarted, and each of the others is suspect.
func (c *Conn) IsFresh() bool {
	return time.Since(c.lastUsed) < FreshFor && c.breakages == c.shared.breakages.Load() &&
		c.telling && !c.cancel.isPending() && !c.IsClosed()
}

// awake makes sure that the server is still there: a look at the socket, and a
// round trip only when something has arrived on it. The round trip does not end
// with ctx: a caller who goes away must not take the connection along.
//
// What the look finds can be tried elsewhere; a statement that was sent to a
// session at its end may not be.
func (c *Conn) awake(ctx context.Context) error {
	if c.IsClosed() {
		return driver.ErrBadConn
	}
	heard, err := c.hear(ctx)
	if err == nil {
		err = c.settle(ctx)
	}
	if err != nil {
		return err
	}
	if heard || c.check.isQuiet() {
		return nil
	}
	return c.roundTrip(ctx)
}

// settle absorbs a cancel request that was confirmed but may not have arrived:
// PostgreSQL signals the backend asynchronously. The signal is at the latest
// seen by the next statement, so that one is an empty query of ours.
func (c *Conn) settle(ctx context.Context) error {
	if c.cancel.uncertain.Load() {
		return driver.ErrBadConn
	}
	for c.cancel.sent.Load() {
		err := c.roundTrip(ctx)
		if err != nil && SQLState(err) != StateQueryCanceled {
			return err
		}
		c.cancel.sent.Store(err != nil)
	}
	return nil
}

func (c *Conn) roundTrip(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CancelBound)
	defer cancel()
	return c.shield(func() error { return c.PgConn().Ping(ctx) })
}

// RetireFor notes why the connection is to be closed when it comes back. The
// first reason counts.
func (c *Conn) RetireFor(why connstate.CloseReason) {
	if why == connstate.CloseBroken {
		c.slot.NoteEnd(c.endCause())
	}
	if c.slot.RetireFor(why) && why == connstate.CloseBroken {
		c.shared.breakages.Add(1)
	}
}

// Fault is why the connection cannot go on when its holder gives it back;
// CloseUnknown when it can.
func (c *Conn) Fault() connstate.CloseReason {
	switch {
	case c.slot.RetiredFor() != connstate.CloseUnknown:
		return c.slot.RetiredFor()
	case c.cancel.uncertain.Load():
		return connstate.CloseCanceled
	case c.IsClosed():
		return connstate.CloseBroken
	case c.txStatus() != 'I', c.PgConn().IsBusy():
		return connstate.CloseUnclean
	}
	return connstate.CloseUnknown
}

// GivenBack notes that the connection came back in good order.
func (c *Conn) GivenBack(now time.Time) {
	c.lastUsed, c.breakages = now, c.shared.breakages.Load()
	c.left.used, c.late = true, late{}
}

// Close ends the connection: it says the farewell. The slot comes free when the
// server has ended its session. That the farewell does not get through is no
// error: the end is the same.
func (c *Conn) Close() error {
	_ = c.pgxConn.Close()
	return nil
}

// RetireIfEnded notes why the connection cannot be used any more, if it is so.
func (c *Conn) RetireIfEnded() {
	switch {
	case c.cancel.uncertain.Load():
		c.RetireFor(connstate.CloseCanceled)
	case c.IsClosed():
		c.RetireFor(connstate.CloseBroken)
	}
}

// saidFarewell has the server see the end of the stream as soon as pgx has said
// that it will send no more. pgx itself would wait for the server first, up to
// 15 s, and the server in the middle of a statement for the end of the stream.
func (c *Conn) saidFarewell() {
	if c.socket != nil {
		_ = c.socket.Close()
	}
}

// HangUp ends the session of a connection that was taken away from its holder.
func (c *Conn) HangUp() { c.socket.HangUp() }

// Interrupt ends at once whatever waits for the server. The connection is of no
// use afterwards.
func (c *Conn) Interrupt() { _ = c.socket.SetDeadline(longAgo) }

// discard closes a connection in the middle of what its holder does with it.
func (c *Conn) discard(why connstate.CloseReason) {
	c.RetireFor(why)
	if c.owner == nil {
		_ = c.Close()
		return
	}
	c.owner.Discard()
}

// IsClosed reports whether pgx has closed the connection.
func (c *Conn) IsClosed() bool { return c.pgxConn.Conn().IsClosed() }

// Pgx is pgx's connection.
func (c *Conn) Pgx() *pgx.Conn { return c.pgxConn.Conn() }

// PgConn is pgx's low-level connection.
func (c *Conn) PgConn() *pgconn.PgConn { return c.pgxConn.Conn().PgConn() }
