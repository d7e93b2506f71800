package pool

import (
	"context"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// What becomes of connections that nobody holds.
//
// For a moment they stay warm in the gate, where the next caller finds them. One
// that has rested for gate.RestAfter goes home, to the *sql.DB that owns it, where
// the limits are what the settings say: SetMaxIdleConns(PoolSize) and
// SetConnMaxLifetime(PoolRecycle). Overflow stays warm for OverflowLinger after
// the last time that it was needed: closing it the moment it is idle, as
// pool_size taken literally says, makes a bursty service dial for every burst.

// settleIdle sends home what has rested long enough.
func (p *Pool) settleIdle(now time.Time) {
	for s := p.gate.ClaimRested(now, p.recycler.due, p.db != nil); s != nil; s = p.gate.ClaimRested(now, p.recycler.due, p.db != nil) {
		s.Backend.(backend).goHome()
		p.gate.WentHome(s, now)
	}
	for s := p.gate.ClaimOverflow(now); s != nil; s = p.gate.ClaimOverflow(now) {
		if p.db == nil || p.recycler.due(s, now) {
			p.discard(s, connstate.CloseSurplus)
			continue
		}
		s.Backend.(backend).goHome() // where there is no room for it
		p.gate.WentHome(s, now)
	}
}

// shrink closes idle connections beyond the limit at once; those in use follow
// as they are given back, and the one that listens when it leaves none to others.
func (p *Pool) shrink() {
	p.listeners.reconsider()
	for {
		s := p.gate.ClaimSurplus()
		switch {
		case s != nil:
			p.discard(s, connstate.CloseSurplus)
		case p.gate.Excess() == 0 || !p.bringBack():
			return
		}
	}
}

// discard closes a connection that housekeeping has claimed.
func (p *Pool) discard(s *gate.Slot, why connstate.CloseReason) {
	b := s.Backend.(backend)
	b.RetireFor(why)
	p.gate.Lost(s)
	b.close()
}

// dropEnded closes connections that the server has ended while they rested, by
// idle_session_timeout say, so that Stats do not count them as idle until
// somebody needs them. A look at each is a system call; only where something has
// arrived is there more to do.
func (p *Pool) dropEnded(ctx context.Context, now time.Time) {
	suspect := map[*gate.Slot]bool{}
	for _, s := range p.gate.IdleSlots() {
		if c, ours := s.Backend.(*conn); ours && !c.IsQuiet() {
			suspect[s] = true
		}
	}
	if len(suspect) == 0 {
		return
	}
	p.bringBack()
	for {
		s := p.gate.Claim(func(s *gate.Slot) bool { return suspect[s] })
		if s == nil {
			return // the others are in use: their holders will notice
		}
		delete(suspect, s)
		if c := s.Backend.(*conn); !c.Awake(ctx) {
			p.discard(s, connstate.CloseBroken)
		} else {
			p.gate.Unclaim(s, now)
		}
	}
}
