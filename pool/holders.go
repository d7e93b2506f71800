package pool

import (
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// Holders returns up to n of those who hold a connection now, longest first;
// n <= 0 means all. It may be called concurrently and never blocks callers for
// longer than copying n records takes.
func (p *Pool) Holders(n int) []Holder {
	now := time.Now()
	return p.standbys.withHolders(p.describeAll(p.gate.Oldest(n), now), n, now)
}

func (p *Pool) describeAll(held []gate.Holding, now time.Time) []Holder {
	out := make([]Holder, len(held))
	for i := range held {
		out[i] = p.describe(&held[i], now)
	}
	return out
}

// describe tells who holds a connection.
func (p *Pool) describe(held *gate.Holding, now time.Time) Holder {
	h := Holder{
		Lane:     Lane(held.Lane),
		Name:     held.Name,
		Caller:   caller(held.Callsite).place(p.plumbing),
		Held:     max(0, now.Sub(held.Since)),
		Activity: connstate.ActivityName(held.Activity),
		Stack:    caller(held.Callsite).stack(p.plumbing),
	}
	if held.Slot != nil {
		h.PID = held.Slot.PID
	}
	h.Leaking = p.leaks(held, h.Held)
	return h
}

// leaks reports whether who has held a connection for d has held it too long.
func (p *Pool) leaks(held *gate.Holding, d time.Duration) bool {
	return p.cfg.LeakThreshold > 0 && d >= p.cfg.LeakThreshold && !held.Standing
}
