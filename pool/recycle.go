package pool

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// recycler paces the replacement of connections, so that they never go all at
// once.
//
// database/sql's own lifetime is set as well, to what the recycler aims at. It
// knows no pace, though: it closes everything that has reached it. So it is off
// while the server gives nothing new, and stays off until the recycler has
// replaced what grew too old meanwhile.
type recycler struct {
	g           *gate
	lifetime    time.Duration
	generation  *atomic.Uint64
	setLifetime func(time.Duration) // database/sql's; 0 is off
	suspended   atomic.Bool
}

// suspend keeps database/sql from closing anything for its age.
func (r *recycler) suspend() {
	if r.suspended.CompareAndSwap(false, true) {
		r.setLifetime(0)
	}
}

// resume undoes suspend once that closes nothing at once.
func (r *recycler) resume(now time.Time) {
	if !r.suspended.Load() || !r.g.serverOK() || r.g.anyOpen(func(c *conn) bool { return now.Sub(c.born) >= r.lifetime }) {
		return
	}
	r.suspended.Store(false)
	r.setLifetime(r.lifetime)
	if !r.g.serverOK() { // as of this moment
		r.suspend()
	}
}

func (g *gate) serverOK() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.supply.state.OK
}

// recycleGap is the least time between two replacements that Recycle asked for.
const recycleGap = 50 * time.Millisecond

// shareGap is how long the fleet may take to find a place for the next
// successor of those that were closed for their age: a few of its looks.
const shareGap = 3 * time.Second

// A connection becomes due at a random moment of the tenth of its lifetime that
// begins at three quarters. Another tenth is enough for the turns of all that
// became due together, so that none is left when the lifetime ends.
func dueAfter(lifetime time.Duration) time.Duration { return lifetime*3/4 + rand.N(lifetime/10+1) }

// gap is the least time between two replacements for age.
func (r *recycler) gap() time.Duration {
	return max(recycleGap, r.lifetime/time.Duration(10*max(1, r.g.currentLimit())))
}

// soonest reports whether any connection is due that nobody holds, and how soon
// the one after it may follow. Those that are held are looked at when they are
// given back.
func (r *recycler) soonest(now time.Time) (next time.Duration, due bool) {
	next, gap := maxPeriod, r.gap()
	held := r.g.heldConns()
	r.g.anyOpen(func(c *conn) bool {
		if held[c] {
			return false
		}
		switch {
		case c.surplus(), r.outdated(c):
			next, due = recycleGap, true
		case r.due(c, now):
			next, due = min(next, gap), true
		}
		return false
	})
	return next, due
}

// expired reports whether c is to be replaced now: it is due, and it is its turn.
func (r *recycler) expired(c *conn, now time.Time) bool {
	if !r.due(c, now) {
		return false
	}
	gap := recycleGap
	if !r.outdated(c) {
		gap = r.gap()
	}
	if r.g.takeTurn(now, gap) {
		return true
	}
	r.g.demand() // of a successor, if that is what is missing
	return false
}

func (r *recycler) due(c *conn, now time.Time) bool { return now.After(c.recycleAt) || r.outdated(c) }

// outdated reports whether c was dialed before the last Recycle.
func (r *recycler) outdated(c *conn) bool { return c.generation != r.generation.Load() }

// takeTurn allows one replacement per gap, and none while another one's
// successor is still being dialed or the server refuses dials. Where the limit
// has room the successor is dialed first: if there is none to be had, because
// the new password is wrong say, nothing is lost.
func (g *gate) takeTurn(now time.Time, gap time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &g.supply
	if g.shared && g.roomLocked() <= 0 && now.Sub(s.owedAt) > shareGap {
		s.owed = 0 // the fleet has no place for it
	}
	if g.closed || g.dialing > 0 || s.owed > 0 || !s.state.OK || now.Sub(s.recycled) < gap {
		return false
	}
	if s.successor != successorDialed && g.roomLocked() > 0 {
		s.successor = successorWanted // whoever asked sees to the dial
		return false
	}
	s.recycled = now
	return true
}

// Recycle replaces every connection that is open now, one after the other, each
// when it is idle or given back: after a password change, a failover, a new
// server behind the same name. It returns at once; no caller fails for it, and
// an idle pool has as many connections afterwards as before.
// Stats.Closed.Recycled counts the replaced ones.
func (p *Pool) Recycle() { p.dialer.generation.Add(1) }
