package pgdriver

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// CancelBound bounds how long a cancelled statement may take to end on the
// server before its connection is given up. The caller waits no longer than that.
const CancelBound = 2 * time.Second

// CancelAgain is how long after a cancel request the next one follows if the
// statement has not ended, doubled each time. The first one is lost when it
// overtakes its statement: a server that is not running anything ignores it.
const CancelAgain = 20 * time.Millisecond

// canceller ends the statement of a cancelled context on the server and keeps
// the connection. It replaces pgx's own handlers: one burns the connection, the
// other sleeps 100 ms after each cancellation to make a late one unlikely. Here
// a late one cannot hurt: after a confirmed cancellation the connection makes a
// round trip that absorbs it (conn.settle), and after one that was not confirmed,
// and so may still be under way, the connection is not used again.
type canceller struct {
	pg       *pgconn.PgConn
	state    *cancelState
	exchange *exchange
	ended    chan struct{} // closed when the statement has ended
	done     chan struct{} // closed when no more requests are under way
	asked    int           // how many were sent
}

// cancelState is what a connection has to know about its cancellations.
type cancelState struct {
	sent      atomic.Bool // a confirmed cancel request may still be about to arrive
	uncertain atomic.Bool // a cancel request was sent and never confirmed
	broken    atomic.Bool // the connection of the request under way broke
	count     *atomic.Uint64
}

// isPending reports whether a cancel request may still be about to arrive.
func (s *cancelState) isPending() bool { return s.sent.Load() || s.uncertain.Load() }

var _ ctxwatch.Handler = (*canceller)(nil)

// HandleCancel asks the server to cancel and bounds how long pgx waits for the end.
func (h *canceller) HandleCancel(context.Context) {
	deadline := time.Now().Add(CancelBound)
	_ = h.pg.Conn().SetDeadline(deadline)
	h.ended, h.done, h.asked = make(chan struct{}), make(chan struct{}), 0
	go h.insist(deadline) // HandleUnwatchAfterCancel waits for it
}

// HandleUnwatchAfterCancel waits until it is known what became of the requests.
// A connection that pgx has given up by then keeps the deadline of its farewell.
func (h *canceller) HandleUnwatchAfterCancel() {
	close(h.ended)
	<-h.done
	if !h.pg.IsClosed() {
		_ = h.pg.Conn().SetDeadline(time.Time{})
	}
}

// insist does what it can until the statement has ended.
func (h *canceller) insist(deadline time.Time) {
	defer close(h.done)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	stalled := false
	for pause := CancelAgain; ; pause *= 2 {
		traffic := h.exchange.traffic.Load()
		if h.isInVain(stalled) {
			h.giveUp()
			return
		}
		if h.exchange.working.Load() && !h.request(ctx) || !h.wait(ctx, pause) {
			return
		}
		stalled = h.exchange.traffic.Load() == traffic
	}
}

// wait reports whether the statement still has not ended after a pause.
func (h *canceller) wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-h.ended:
		return false
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// isInVain reports whether no cancel request can end what pgx waits for: the
// server runs nothing, but is to speak of its own accord, as after LISTEN; or
// nothing was exchanged for a pause while it reads the data of a COPY, during
// which it does not look for requests, or owes an answer that needs no work.
func (h *canceller) isInVain(stalled bool) bool {
	switch {
	case h.exchange.working.Load():
		return stalled && h.exchange.copying.Load()
	case h.exchange.owed.Load() > 0:
		return stalled
	}
	return h.exchange.reading.Load() // else the next message is about to be sent
}

// giveUp ends the wait at once. pgx closes the connection, unless it expected
// nothing from the server.
func (h *canceller) giveUp() { _ = h.pg.Conn().SetDeadline(longAgo) }

// request sends one cancel request and reports whether it was confirmed: the
// server closes the request's connection once it has signalled the backend.
func (h *canceller) request(ctx context.Context) bool {
	if h.asked++; h.asked == 1 {
		h.state.count.Add(1)
	}
	h.state.broken.Store(false)
	if err := h.pg.CancelRequest(ctx); err != nil || ctx.Err() != nil || h.state.broken.Load() {
		h.state.uncertain.Store(true)
		return false
	}
	h.state.sent.Store(true)
	return true
}

// cancelConn is the connection of a cancel request: it notes whether it broke,
// which pgx does not tell. Only an orderly end is a confirmation.
type cancelConn struct {
	net.Conn
	state *cancelState
}

func (c cancelConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && err != io.EOF {
		c.state.broken.Store(true)
	}
	return n, err
}

// ForCancel wraps the connection of a cancel request for c's statement.
func (c *Conn) ForCancel(nc net.Conn) net.Conn { return cancelConn{nc, &c.cancel} }

// canceledError reports a statement that the server cancelled. errors.Is finds the
// context's error in it, and errors.As the server's.
type canceledError struct {
	err error // holds the server's
	ctx error
}

func (e *canceledError) Error() string   { return e.err.Error() }
func (e *canceledError) Unwrap() []error { return []error{e.ctx, e.err} }

// Canceled adds ctx's error to one that says that the server cancelled a
// statement, if ctx has ended: for functions that were lent pgx's own connection.
func Canceled(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	if ctx.Err() == nil || !errors.As(err, &pg) || pg.Code != StateQueryCanceled {
		return err
	}
	return &canceledError{err, ctx.Err()}
}
