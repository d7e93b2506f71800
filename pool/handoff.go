package pool

import (
	"cmp"
	"time"
)

// dispatchLocked hands connections on while there are connections and waiters:
// the one way out of the queue with a connection.
func (g *gate) dispatchLocked(now time.Time) {
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
func (g *gate) lateLocked(p *permit, now time.Time) error {
	if !now.Before(p.waitEnds()) {
		g.countTimeoutLocked(p)
		return ErrPoolTimeout
	}
	if g.waiting > 0 && g.hopelessLocked(p, now, 0) {
		g.counts.shed++
		return &refusal{wait: now.Sub(p.asked)}
	}
	return nil
}

// lose notes that the connection of p's holder is dead. The holder keeps its
// permit, and goes on with again or release.
func (g *gate) lose(p *permit, reason closeReason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.slot != nil {
		g.lostLocked(p.slot, reason)
		p.slot = nil
	}
}

// again puts the holder of a permit, whose connection died before anything was
// done on it, at the head of its lane: it asked before all who wait there, and
// its patience is what is left of it.
func (g *gate) again(p *permit, now time.Time) decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.state != permitHeld { // taken away meanwhile
		p.err = ErrReclaimed
		return decidedRefused
	}
	g.unholdLocked(p, now)
	if p.internal {
		g.supply.internal--
	} else if p.lane == LaneRequest {
		g.pace.dropped(now)
	}
	p.again = true
	if p.err = cmp.Or(g.shutLocked(), g.barredLocked(now)); p.err != nil {
		g.giveUpLocked(p)
		return decidedRefused
	}
	if g.servableLocked(p.lane) {
		g.grantLocked(p, now)
		return decidedGranted
	}
	g.requeueLocked(p)
	return decidedQueued
}

// shutLocked is ErrClosed once the gate is closed.
func (g *gate) shutLocked() error {
	if g.closed {
		return ErrClosed
	}
	return nil
}

// giveUpLocked ends an acquisition that had had a connection and gets no other.
func (g *gate) giveUpLocked(p *permit) {
	p.state = permitDone
	if p.scope != nil {
		p.scope.held.CompareAndSwap(p, nil)
	}
	g.watchLocked()
}
