package gate

import "time"

// expiry ends the waits that have lasted for pool_timeout. One timer does it
// for everybody: those who wait in a lane end their waits in the order in which
// they came, but for those whose own deadline is nearer, whose context tells.
type expiry struct {
	timer *time.Timer
	at    time.Time // when it fires; zero when it does not
}

// expireLocked has the timer fire when the wait of p ends.
func (g *Gate) expireLocked(p *Permit) {
	e := &g.expiry
	if end := p.WaitEnds(); !p.OwnDeadline && (e.at.IsZero() || end.Before(e.at)) {
		e.at = end
		e.timer.Reset(time.Until(end))
	}
}

// expire ends the waits that are over and sets the timer for the next one.
func (g *Gate) expire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.expiry.at = time.Time{}
	for l := range g.queue {
		for p := g.queue[l].first; p != nil; {
			next := p.next
			if !now.Before(p.WaitEnds()) {
				g.unqueueLocked(p)
				g.countTimeoutLocked(p)
				g.finishLocked(p, now, ErrTimeout)
			} else if !p.OwnDeadline {
				g.expireLocked(p)
				break
			}
			p = next
		}
	}
}
