package pool

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
)

// housekeeper does what nobody asks for and somebody has to: it lets overflow go
// when it has lingered, replaces connections that are old, and watches for
// those that are held too long. One goroutine, one round per period.
type housekeeper struct {
	p      *Pool
	done   chan struct{}
	silent map[gate.Grant]silence // holders that may not do nothing for ever
	before map[gate.Grant]silence // those of the round before
	leaks  []*leaks               // of the places that were warned of lately; the housekeeper's own

	mu      sync.Mutex          // guards all but known
	owed    []cameBack          // leaks that came back and have not been logged yet
	left    []leftBehind        // changes that have not been logged yet
	unheard []error             // of commits, that have not been logged yet
	known   map[string]struct{} // of which changes were; the housekeeper's own
}

const (
	maxPeriod = time.Second
	minPeriod = 50 * time.Millisecond
)

// period is how often to look: four times within the shortest time that matters.
func (h *housekeeper) period() time.Duration {
	d := maxPeriod
	for _, limit := range []time.Duration{h.p.cfg.LeakThreshold, h.p.cfg.OverflowLinger, h.p.cfg.PoolRecycle, h.p.cfg.ReclaimAfter} {
		if limit > 0 {
			d = min(d, limit/4)
		}
	}
	return max(d, minPeriod)
}

func (h *housekeeper) run(ctx context.Context) {
	defer close(h.done)
	tick := time.NewTimer(h.period())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			h.tellCameBack()
			return
		case <-tick.C:
			tick.Reset(h.round(ctx, time.Now()))
		}
	}
}

// round does all that is due, and says when the next round is.
func (h *housekeeper) round(ctx context.Context, now time.Time) (next time.Duration) {
	next = h.period()
	h.tellCameBack()
	h.logLeftBehind()
	h.logUnheard()
	h.warnOfLeaks(now)
	h.reclaim(now)
	h.p.gate.ForgetMonitor(now)
	if h.p.lent.unlimit() {
		h.p.log.Warn("limits set on Pool.DB were removed: the pool's own apply to it", "pool", h.p.cfg.Name,
			"remedy", "set DB_POOL_SIZE and DB_MAX_OVERFLOW, or call Pool.Resize")
	}
	next = min(next, h.p.replaceDue(now))
	h.p.dropEnded(ctx, now)
	h.p.settleIdle(now)
	h.p.gate.Demand()
	return next
}

func holderAttrs(pool string, h Holder) []any {
	attrs := []any{"pool", pool, "held_seconds", logSeconds(h.Held), "caller", h.Caller}
	attrs = append(attrs, logName(h.Name)...)
	return append(attrs, "lane", h.Lane.String(), "activity", h.Activity, slog.Any("pid", h.PID))
}
