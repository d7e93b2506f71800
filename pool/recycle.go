package pool

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// recycler paces the replacement of connections, so that they never go all at
// once.
//
// The *sql.DB that owns the connections closes what has reached the lifetime
// while it is idle there. What is due is kept out of there until it has been
// replaced: database/sql knows no pace, nor whether the server gives anything new.
type recycler struct {
	g          *gate.Gate
	lifetime   time.Duration
	generation *atomic.Uint64
}

// recycleGap is the least time between two replacements that Recycle asked for.
const recycleGap = 50 * time.Millisecond

// A connection becomes due at a random moment of the tenth of its lifetime that
// begins at three quarters. Another tenth is enough for the turns of all that
// became due together, so that none is left when the lifetime ends.
func dueAfter(lifetime time.Duration) time.Duration { return lifetime*3/4 + rand.N(lifetime/10+1) }

// gap is the least time between two replacements for age.
func (r *recycler) gap() time.Duration {
	return max(recycleGap, r.lifetime/time.Duration(10*max(1, r.g.Limit())))
}

// soonest reports whether any connection is due that nobody holds, and how soon
// the one after it may follow. Those that are held are looked at when they are
// given back.
func (r *recycler) soonest(now time.Time) (next time.Duration, due bool) {
	next, gap := maxPeriod, r.gap()
	r.g.AnyIdle(func(s *gate.Slot) bool {
		switch {
		case s.IsSurplus(), r.outdated(s):
			next, due = recycleGap, true
		case r.due(s, now):
			next, due = min(next, gap), true
		}
		return false
	})
	return next, due
}

// replaceDue replaces what is due among the connections that nobody holds. It
// says when to come back at the latest.
func (p *Pool) replaceDue(now time.Time) (next time.Duration) {
	next, due := p.recycler.soonest(now)
	if !due {
		return next
	}
	p.bringBack()
	for s := p.gate.Claim((*gate.Slot).IsSurplus); s != nil; s = p.gate.Claim((*gate.Slot).IsSurplus) {
		p.discard(s, connstate.CloseSurplus)
	}
	s := p.gate.Claim(func(s *gate.Slot) bool { return p.recycler.due(s, now) })
	switch {
	case s == nil:
	case p.recycler.expired(s, now):
		p.discard(s, connstate.CloseRecycled)
	default:
		p.gate.Unclaim(s, now)
	}
	return next
}

// expired reports whether s is to be replaced now: it is due, and it is its turn.
func (r *recycler) expired(s *gate.Slot, now time.Time) bool {
	if !r.due(s, now) {
		return false
	}
	gap := recycleGap
	if !r.outdated(s) {
		gap = r.gap()
	}
	if r.g.TakeTurn(now, gap) {
		return true
	}
	r.g.Demand() // of a successor, if that is what is missing
	return false
}

func (r *recycler) due(s *gate.Slot, now time.Time) bool {
	return now.After(s.RecycleAt) || r.outdated(s)
}

// outdated reports whether s was dialed before the last Recycle.
func (r *recycler) outdated(s *gate.Slot) bool { return s.Generation != r.generation.Load() }

// Recycle replaces every connection that is open now, one after the other, each
// when it is idle or given back: after a password change, a failover, a new
// server behind the same name. It returns at once; no caller fails for it, and
// an idle pool has as many connections afterwards as before.
// Stats.Closed.Recycled counts the replaced ones. The one that listens (Listen) is
// replaced at once, and who listens is told of the gap.
func (p *Pool) Recycle() {
	p.dialer.generation.Add(1)
	p.listeners.reconsider()
	if p.standbys != nil {
		p.standbys.p.Recycle()
	}
}
