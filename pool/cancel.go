package pool

import (
	"context"
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

// cancelState is what the connection has to know about its cancellations.
type cancelState struct {
	sent      atomic.Bool // a confirmed cancel request may still be about to arrive
	uncertain atomic.Bool // a cancel request was sent and never confirmed
	count     *atomic.Uint64
}

var _ ctxwatch.Handler = (*canceller)(nil)

// HandleCancel asks the server to cancel and bounds how long pgx waits for the end.
func (h *canceller) HandleCancel(context.Context) {
	deadline := time.Now().Add(cancelGrace)
	_ = h.pg.Conn().SetDeadline(deadline)
	h.done = make(chan struct{})
	h.state.count.Add(1)
	go h.request(deadline)
}

// request sends the cancel request. The server closes its connection once it
// has signalled the backend: that is the confirmation.
func (h *canceller) request(deadline time.Time) {
	defer close(h.done)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if err := h.pg.CancelRequest(ctx); err != nil || ctx.Err() != nil {
		h.state.uncertain.Store(true)
		return
	}
	h.state.sent.Store(true)
}

// HandleUnwatchAfterCancel waits until it is known what became of the request.
func (h *canceller) HandleUnwatchAfterCancel() {
	<-h.done
	_ = h.pg.Conn().SetDeadline(time.Time{})
}
