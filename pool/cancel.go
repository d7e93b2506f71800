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

// canceller ends the statement of a cancelled context on the server and keeps
// the connection. It replaces pgx's own handlers: one burns the connection, the
// other sleeps 100 ms after each cancellation to make a late one unlikely. Here
// a late one cannot hurt: after a confirmed cancellation the connection makes a
// round trip that absorbs it (conn.settle), and after one that was not confirmed,
// and so may still be under way, the connection is not used again.
type canceller struct {
	pg    *pgconn.PgConn
	state *cancelState
	done  chan struct{}
}

// cancelState is what a connection has to know about its cancellations.
type cancelState struct {
	sent      atomic.Bool // a confirmed cancel request may still be about to arrive
	uncertain atomic.Bool // a cancel request was sent and never confirmed
	broken    atomic.Bool // the connection of the request under way broke
	count     *atomic.Uint64
}

var _ ctxwatch.Handler = (*canceller)(nil)

// HandleCancel asks the server to cancel and bounds how long pgx waits for the end.
func (h *canceller) HandleCancel(context.Context) {
	deadline := time.Now().Add(cancelGrace)
	_ = h.pg.Conn().SetDeadline(deadline)
	h.done = make(chan struct{})
	h.state.count.Add(1)
	go h.request(deadline) // HandleUnwatchAfterCancel waits for it
}

// request sends the cancel request. The server closes its connection once it
// has signalled the backend: that is the confirmation.
func (h *canceller) request(deadline time.Time) {
	defer close(h.done)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	h.state.broken.Store(false)
	if err := h.pg.CancelRequest(ctx); err != nil || ctx.Err() != nil || h.state.broken.Load() {
		h.state.uncertain.Store(true)
		return
	}
	h.state.sent.Store(true)
}

// HandleUnwatchAfterCancel waits until it is known what became of the request.
// A connection that pgx has given up by then keeps the deadline of its farewell.
func (h *canceller) HandleUnwatchAfterCancel() {
	<-h.done
	if !h.pg.IsClosed() {
		_ = h.pg.Conn().SetDeadline(time.Time{})
	}
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
