package doctor

import (
	"context"
	"sync"
	"time"

	"github.com/dbpool-go/dbpool/pool"
)

// grace is how long a first failed dial is tried again. A pool has all the time
// its callers give it; an operator wants to hear that the server is full.
const grace = time.Second

// earlyAbort ends the wait for a connection a moment after a dial has failed.
type earlyAbort struct {
	giveUp context.CancelFunc

	mu    sync.Mutex // guards timer
	timer *time.Timer
}

var _ pool.Observer = (*earlyAbort)(nil)

// Dialed starts the clock at the first failure.
func (i *earlyAbort) Dialed(_ time.Duration, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil && i.timer == nil {
		i.timer = time.AfterFunc(grace, i.giveUp)
	}
}

// stop lets go of the clock.
func (i *earlyAbort) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.timer != nil {
		i.timer.Stop()
	}
}

// AcquireStart, AcquireEnd and Released are of no interest.
func (*earlyAbort) AcquireStart(ctx context.Context, _ pool.Lane, _ string) context.Context {
	return ctx
}
func (*earlyAbort) AcquireEnd(context.Context, pool.Lane, string, time.Duration, error) {}
func (*earlyAbort) Released(pool.Lane, string, time.Duration)                           {}
