package gate

import (
	"cmp"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// dispatchLocked hands connections on while there are connections and waiters:
// the one way out of the queue with a connection.
func (g *Gate) dispatchLocked(now time.Time) {
	for g.freeLocked() {
		p := g.nextLocked()
		if p == nil {
			return
		}
		g.unqueueLocked(p)
		if err := g.lateLocked(p, now); err != nil {
			g.finishLocked(p, now, err)
			continue
		}
		g.grantLocked(p, now)
		g.gatherLocked(p, now)
		p.ready <- struct{}{}
	}
}

// lateLocked says why p, whose turn it is, is not served after all: its wait
// has ended although its timer has not fired yet, or what is left of its own
// deadline does not suffice for the work, so that serving it would spend a
// connection on an answer that nobody waits for while others wait for it.
func (g *Gate) lateLocked(p *Permit, now time.Time) error {
	if !now.Before(p.WaitEnds()) {
		g.countTimeoutLocked(p)
		return ErrTimeout
	}
	if g.waiting > 0 && g.missesDeadlineLocked(p, now, 0) {
		g.counts.shed++
		return &Refusal{Wait: now.Sub(p.Asked)}
	}
	return nil
}

// Lose notes that the connection of p's holder is dead. The holder keeps its
// permit, and goes on with again or release.
func (g *Gate) Lose(p *Permit, reason connstate.CloseReason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.Slot != nil {
		g.lostLocked(p.Slot, reason)
		p.Slot = nil
	}
}

// Again puts the holder of a permit, whose connection died before anything was
// done on it, at the head of its lane: it asked before all who wait there, and
// its patience is what is left of it.
func (g *Gate) Again(p *Permit, now time.Time) Decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.state != permitHeld { // taken away meanwhile
		p.Err = connstate.ErrReclaimed
		return Refused
	}
	g.unholdLocked(p, now)
	if p.Internal {
		g.dials.internal--
	} else if p.Lane == Request {
		g.forecast.dropped(now)
	}
	return g.askAgainLocked(p, now)
}

// askAgainLocked has p, which was granted before and holds nothing now, served at
// once or wait in the place that it had.
func (g *Gate) askAgainLocked(p *Permit, now time.Time) Decision {
	p.again = true
	if p.Err = cmp.Or(g.shutLocked(), g.barredLocked(now)); p.Err != nil {
		g.giveUpLocked(p)
		return Refused
	}
	if g.servableLocked(p.Lane) {
		g.grantLocked(p, now)
		return Granted
	}
	g.requeueLocked(p)
	return Queued
}

// shutLocked is ErrClosed once the gate is closed.
func (g *Gate) shutLocked() error {
	if g.closed {
		return ErrClosed
	}
	return nil
}

// giveUpLocked ends an acquisition that had had a connection and gets no other.
func (g *Gate) giveUpLocked(p *Permit) {
	p.state = permitDone
	if p.Scope != nil {
		p.Scope.held.CompareAndSwap(p, nil)
	}
	g.watchLocked()
}
