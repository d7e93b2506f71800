package gate

import "time"

// predictLocked is how long a newcomer to lane l would wait; 0 when nothing is
// known. Only requests are predicted: probes go first, and background tasks
// have nobody who waits for an answer.
//
// A pool that may still grow is judged as if it had grown already: it is better
// to queue one caller in vain than to refuse one that could have been served.
func (g *Gate) predictLocked(l Lane, now time.Time) time.Duration {
	if l != Request {
		return 0
	}
	if g.queue[Request].n == 0 {
		g.forecast.queueForms(now)
	}
	capacity := g.limit - g.keptLocked()
	if !g.dials.state.OK {
		capacity = min(capacity, g.conns)
	}
	ahead := g.queue[Probe].n + g.queue[Request].n
	ahead += min(g.queue[Background].n, ahead/backgroundTurn)
	if ahead -= max(0, capacity-g.busyLocked()); ahead < 0 {
		return 0 // a connection is being opened for it
	}
	return g.forecast.wait(now, ahead, capacity-g.heldBy[Background])
}

// missesDeadlineLocked reports whether p, getting a connection after wait, would miss
// its deadline: its own with the work done, or pool_timeout with a connection.
// The work is taken to be the typical one; half as much again when the wait is
// only predicted, because predictions err and work that is cut off is lost.
func (g *Gate) missesDeadlineLocked(p *Permit, now time.Time, wait time.Duration) bool {
	if p.Lane != Request {
		return false
	}
	need := wait + g.workLocked(p, now, wait)
	return need > 0 && now.Add(need).After(p.WaitEnds())
}

// workLocked is how long p's work is taken to last, as far as it counts against
// p's deadline.
func (g *Gate) workLocked(p *Permit, now time.Time, wait time.Duration) time.Duration {
	if !p.OwnDeadline {
		return 0
	}
	work := g.forecast.usual(now)
	if wait > 0 {
		work += work / 2
	}
	return work
}
