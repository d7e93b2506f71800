package pool

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
)

// keeper does what nobody asks for and somebody has to: it lets overflow go
// when it has lingered, replaces connections that are old, and watches for
// those that are held too long. One goroutine, one round per period.
type keeper struct {
	p      *Pool
	done   chan struct{}
	wake   chan struct{} // an early round, for log lines that are owed
	silent map[gate.Grant]silence

	mu   sync.Mutex // guards owed
	owed []cameBack // leaks that came back and have not been logged yet
}

type cameBack struct {
	gate.Holding
	at time.Time
}

const (
	maxPeriod = time.Second
	minPeriod = 50 * time.Millisecond
)

// period is how often to look: four times within the shortest time that matters.
func (k *keeper) period() time.Duration {
	d := maxPeriod
	for _, limit := range []time.Duration{k.p.cfg.LeakThreshold, k.p.cfg.OverflowLinger, k.p.cfg.PoolRecycle, k.p.cfg.ReclaimAfter} {
		if limit > 0 {
			d = min(d, limit/4)
		}
	}
	return max(d, minPeriod)
}

func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	tick := time.NewTimer(k.period())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			k.logAllClears()
			return
		case <-tick.C:
			tick.Reset(k.round(time.Now()))
		case <-k.wake:
			k.logAllClears()
		}
	}
}

// round does all that is due, and says when the next round is.
func (k *keeper) round(now time.Time) (next time.Duration) {
	next = k.period()
	k.logAllClears()
	k.warnOfLeaks(now)
	k.reclaim(now)
	k.p.gate.ForgetMonitor(now)
	if k.p.lent.unlimit() {
		k.p.log.Warn("limits set on Pool.DB were removed: the pool's own apply to it", "pool", k.p.cfg.Name,
			"remedy", "set DB_POOL_SIZE and DB_MAX_OVERFLOW, or call Pool.Resize")
	}
	next = min(next, k.p.replaceDue(now))
	k.p.settleIdle(now)
	k.p.gate.Demand()
	return next
}

// warnOfLeaks warns once of each holder that has passed the threshold.
func (k *keeper) warnOfLeaks(now time.Time) {
	if k.p.cfg.LeakThreshold == 0 {
		return
	}
	for _, leak := range k.p.gate.NewLeaks(now, k.p.cfg.LeakThreshold) {
		h := k.p.describe(&leak, now)
		k.p.log.Warn("connection held too long", append(holderAttrs(k.p.cfg.Name, h), "stack", h.Stack)...)
	}
}

func holderAttrs(pool string, h Holder) []any {
	return []any{"pool", pool, "held", h.Held.Round(time.Millisecond), "caller", h.Caller,
		"name", h.Name, "lane", h.Lane.String(), "activity", h.Activity, slog.Any("pid", h.PID)}
}

// allClear notes that a connection came back after its warning. It may be
// called under database/sql's locks, so the line is written by the keeper.
func (k *keeper) allClear(p *gate.Permit) {
	k.mu.Lock()
	k.owed = append(k.owed, cameBack{p.Holding(), time.Now()}) // it is its owner's again
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) logAllClears() {
	k.mu.Lock()
	owed := k.owed
	k.owed = nil
	k.mu.Unlock()
	for _, r := range owed {
		k.p.log.Info("connection came back", "pool", k.p.cfg.Name, "held", r.at.Sub(r.Since).Round(time.Millisecond),
			"caller", (*caller)(&r.Callsite).place(k.p.plumbing), "name", r.Name)
	}
}
