package pool

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// cancelGrace bounds how long a cancelled statement may take to end on the
// server before its connection is given up. The caller waits no longer than that.
const cancelGrace = 2 * time.Second

// cancelAgain is how long after a cancel request the next one follows if the
// statement has not ended, doubled each time. The first one is lost when it
// overtakes its statement: a server that is not running anything ignores it.
const cancelAgain = 20 * time.Millisecond

// canceller ends the statement of a cancelled context on the server and keeps
// the connection. It replaces pgx's own handlers: one burns the connection, the
// other sleeps 100 ms after each cancellation to make a late one unlikely. Here
// a late one cannot hurt: after a confirmed cancellation the connection makes a
// round trip that absorbs it (conn.settle), and after one that was not confirmed,
// and so may still be under way, the connection is not used again.
type canceller struct {
	pg    *pgconn.PgConn
	state *cancelState
	ended chan struct{} // closed when the statement has ended
	done  chan struct{} // closed when no more requests are under way
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
	deadline := time.Now().Add(cancelGrace)
	_ = h.pg.Conn().SetDeadline(deadline)
	h.ended, h.done = make(chan struct{}), make(chan struct{})
	h.state.count.Add(1)
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

// insist sends cancel requests until the statement has ended.
func (h *canceller) insist(deadline time.Time) {
	defer close(h.done)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	for pause := cancelAgain; h.request(ctx); pause *= 2 {
		timer := time.NewTimer(pause)
		select {
		case <-h.ended:
		case <-ctx.Done():
		case <-timer.C:
			continue
		}
		timer.Stop()
		return
	}
}

// request sends one cancel request and reports whether it was confirmed: the
// server closes the request's connection once it has signalled the backend.
func (h *canceller) request(ctx context.Context) bool {
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

// canceledError is the server's word that it ended a statement, for callers who
// ask for their context's error as well as for those who ask for the server's.
type canceledError struct {
	pg  *pgconn.PgError
	ctx error
}

func (e *canceledError) Error() string   { return e.pg.Error() }
func (e *canceledError) Unwrap() []error { return []error{e.ctx, e.pg} }
