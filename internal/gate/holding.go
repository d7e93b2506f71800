package gate

import (
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/stack"
)

// Holding is a copy of what a permit says about its holder: a permit is used
// again as soon as it has come back.
type Holding struct {
	Grant
	Slot      *Slot // nil when its connection died
	Lane      Lane
	Name      string
	Statement any  // Permit.Statement
	Standing  bool // held for long on purpose
	Since     time.Time
	Callsite  stack.Trace
	Activity  int32
}

// Oldest returns the n that have been held longest.
func (g *Gate) Oldest(n int) []Holding {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n <= 0 || n > g.holders.n {
		n = g.holders.n
	}
	out := make([]Holding, 0, n)
	for k := g.holders.first; len(out) < n; k = k.next {
		out = append(out, k.holdingLocked())
	}
	return out
}

// Holding is for p's owner, when p has come back and until it asks again.
func (p *Permit) Holding() Holding { return p.holdingLocked() }

func (p *Permit) holdingLocked() Holding {
	h := Holding{Grant: Grant{p, p.seq}, Slot: p.Slot, Lane: p.Lane, Name: p.Name, Statement: p.Statement, Standing: p.Standing, Since: p.GrantedAt(), Callsite: p.Callsite}
	if h.Slot != nil {
		h.Activity = h.Slot.doing()
	}
	return h
}

// GrantOf returns p's present grant; none when p is nil or holds nothing.
func (g *Gate) GrantOf(p *Permit) Grant {
	if p == nil {
		return Grant{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.state != permitHeld {
		return Grant{}
	}
	return Grant{p, p.seq}
}

// Holding returns what is known of a grant, while it lasts.
func (g *Gate) Holding(o Grant) (h Holding, ok bool) {
	if o.P == nil {
		return h, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if o.P.state != permitHeld || o.P.seq != o.seq {
		return h, false
	}
	return o.P.holdingLocked(), true
}

// NewLeaks returns the holders past threshold that have not been warned of, and marks them.
func (g *Gate) NewLeaks(now time.Time, threshold time.Duration) []Holding {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Holding
	for p := g.holders.first; p != nil && now.Sub(p.GrantedAt()) >= threshold; p = p.next {
		if !p.Warned && !p.Standing {
			p.Warned = true
			g.counts.leaks++
			out = append(out, p.holdingLocked())
		}
	}
	return out
}

// TakeAway takes a grant back. Whoever wins the race for activity, the holder's
// next statement or this, excludes the other.
func (g *Gate) TakeAway(h Holding, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, was := h.P, h.Slot.Activity.Load()
	unused := was == connstate.ActivityIdle || was == connstate.ActivityTx || was == connstate.ActivityRows
	if k.Standing || k.state != permitHeld || k.seq != h.seq || k.Slot != h.Slot || !unused || !h.Slot.Activity.CompareAndSwap(was, connstate.ActivityReclaimed) {
		return false
	}
	g.lostLocked(h.Slot, connstate.CloseUnclean)
	g.settleLocked(k, now)
	g.dispatchLocked(now)
	return true
}

// Pressure is what keeps callers waiting.
type Pressure struct {
	Usual      time.Duration // how long connections were held of late; 0 when not known
	Waited     time.Duration // how long the caller that is next has waited
	Nested     int           // how many of those that wait hold a connection already
	Own        int           // connections of Snapshot.Idle that the pool itself uses for a moment
	Unended    int           // sessions that were given up a while ago and that the server has not ended
	UnendedFor time.Duration // the longest of them
}

// Pressure returns the pressure at this moment.
func (g *Gate) Pressure(now time.Time) Pressure {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := Pressure{Usual: g.forecast.usual(now), Nested: g.nested, Own: g.dials.internal + g.claimed}
	for l := range g.queue {
		if k := g.queue[l].first; k != nil {
			out.Waited = max(out.Waited, now.Sub(k.Asked))
		}
	}
	out.Unended, out.UnendedFor = g.unendedLocked(now, unendedAfter)
	return out
}

// unendedAfter is when a server should have ended a session that was given up.
const unendedAfter = time.Second
