package pool

import "time"

// What becomes of connections that nobody holds.
//
// For a moment they stay warm in the gate, where the next caller finds them. One
// that has rested for restAfter goes home, to the *sql.DB that owns it, where
// the limits are what the settings say: SetMaxIdleConns(PoolSize) and
// SetConnMaxLifetime(PoolRecycle). Overflow stays warm for OverflowLinger after
// the last time that it was needed: closing it the moment it is idle, as
// pool_size taken literally says, makes a bursty service dial for every burst.

// restAfter is how long a connection within PoolSize stays warm.
const restAfter = time.Second

// settleIdle sends home what has rested long enough.
func (p *Pool) settleIdle(now time.Time) {
	for s := p.gate.claimRested(now, p.recycler.due, p.db != nil); s != nil; s = p.gate.claimRested(now, p.recycler.due, p.db != nil) {
		s.backend.goHome()
		p.gate.wentHome(s, now)
	}
	for s := p.gate.claimOverflow(now); s != nil; s = p.gate.claimOverflow(now) {
		if p.db == nil || p.recycler.due(s, now) {
			p.discard(s, closeSurplus)
			continue
		}
		s.backend.goHome() // where there is no room for it
		p.gate.wentHome(s, now)
	}
}

// shrink closes idle connections beyond the limit at once; those in use follow
// as they are given back.
func (p *Pool) shrink() {
	for {
		s := p.gate.claim(func(*slot) bool { return p.gate.conns > p.gate.limit })
		switch {
		case s != nil:
			p.discard(s, closeSurplus)
		case p.gate.excess() == 0 || !p.bringBack():
			return
		}
	}
}

// discard closes a connection that housekeeping has claimed.
func (p *Pool) discard(s *slot, why closeReason) {
	s.retireFor(why)
	p.gate.lost(s)
	s.backend.close()
}
