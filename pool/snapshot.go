package pool

import "time"

// Stats returns a snapshot, taken under one lock. It is cheap enough to be
// called on every scrape and in every error.
func (p *Pool) Stats() Stats {
	s := Stats{Name: p.cfg.Name, At: time.Now(), StatementTimeout: p.dialer.timeout.report(p.cfg.StatementTimeout)}
	if p.dialer.mode.Load().pooler {
		s.Pooler = "pgbouncer"
	}
	p.gate.snapshot(&s, p.cfg.LeakThreshold)
	s.CancelCount = p.gate.cancels.Load()
	s.Fleet = p.prover.stats()
	s.Pipeline = p.pipelineStats()
	s.Tasks = p.tasks.stats()
	return s
}

// snapshot fills in everything that mu guards.
func (g *gate) snapshot(s *Stats, leakThreshold time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sizesLocked(s)
	g.lanesLocked(s)
	c := &g.counts
	s.AcquireCount, s.WaitCount, s.WaitDuration, s.HoldDuration = c.acquired, c.waited, c.waitDuration, c.holdDuration
	s.TimeoutCount, s.ShedCount, s.AcquireCanceledCount, s.NestedCount = c.timedOut, c.shed, c.canceled, c.nested
	s.OpenedCount, s.Closed = c.opened, c.closedFor
	s.DialCount, s.DialErrorCount, s.LastDialError = c.dials, c.dialErrors, g.supply.last
	s.Server = g.supply.state
	s.Wait, s.Hold = c.wait, c.hold
	s.LeakWarningCount = c.leaks
	for k := g.holders.first; k != nil && leakThreshold > 0 && s.At.Sub(k.grantedAt()) >= leakThreshold; k = k.next {
		s.Leaking++
	}
}

// sizesLocked counts a holder whose connection died under it as waiting: it has
// a permit but nothing to use it on.
func (g *gate) sizesLocked(s *Stats) {
	s.PoolSize, s.MaxOverflow, s.Limit = g.poolSize, g.configured-g.poolSize, g.limit
	s.InUse = min(g.busyLocked(), g.inUseLocked()) // what the pool itself holds for a moment is as good as idle
	s.Idle = g.conns - s.InUse
	s.Waiting = g.waiting + g.busyLocked() - s.InUse
	s.Dialing, s.Closing, s.Kept = g.dialing, g.closing, g.keptLocked()
	for sl := range g.closingSlots {
		if s.At.Sub(sl.gaveUp) >= quarantineAfter {
			s.Quarantined++
		}
	}
}

// lanesLocked sees to it that the lanes add up to InUse and Waiting. Which of
// the holders have lost their connection is not known; most are requests.
func (g *gate) lanesLocked(s *Stats) {
	unserved := g.busyLocked() - s.InUse
	held := g.heldBy
	held[LaneProbe] -= g.supply.internal
	for _, l := range []Lane{LaneRequest, LaneBackground, LaneProbe} {
		n := min(unserved, held[l])
		unserved -= n
		s.Lanes[l] = LaneStats{InUse: held[l] - n, Waiting: g.queue[l].n + n}
	}
}

// serverFull reports whether the server refuses connections for want of room.
func (g *gate) serverFull() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.supply.trouble.full
}
