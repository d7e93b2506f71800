package gate

import "time"

// Snapshot is everything that a gate knows in figures, taken under one lock.
type Snapshot struct {
	PoolSize, Configured, Limit                int
	InUse, Idle, Dialing, Closing, Quarantined int
	Waiting, Kept                              int
	Lanes                                      [lanes]LaneFigures

	Acquired, Waited, TimedOut, Shed, Canceled, Nested uint64
	WaitDuration, HoldDuration                         time.Duration
	Wait, Hold                                         Histogram
	Opened, Dials, DialErrors, Leaks                   uint64
	SharedCount, RunCount                              uint64
	RunLengths                                         RunLengths
	Closed                                             Closed
	Ended                                              Ended
	Leaking                                            int
	Replacing                                          bool // a connection is still to be dialed in the place of another

	Server      ServerState
	LastFailure Failure
}

// LaneFigures is one lane's part.
type LaneFigures struct{ InUse, Waiting int }

// Snapshot counts as leaking who has held a connection for leakThreshold; 0 is nobody.
func (g *Gate) Snapshot(now time.Time, leakThreshold time.Duration) Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &g.counts
	s := Snapshot{
		PoolSize: g.poolSize, Configured: g.configured, Limit: g.limit, Dialing: g.dialing, Closing: g.closing,
		Acquired: c.acquired, Waited: c.waited, TimedOut: c.timedOut, Shed: c.shed, Canceled: c.canceled, Nested: c.nested,
		WaitDuration: c.waitDuration, HoldDuration: c.holdDuration, Wait: c.wait, Hold: c.hold,
		Opened: c.opened, Dials: c.dials, DialErrors: c.dialErrors, Leaks: c.leaks, Closed: c.closedFor, Ended: c.ended,
		SharedCount: c.shared, RunCount: c.runs, RunLengths: c.runLengths,
		Server: g.dials.state, LastFailure: g.dials.last, Replacing: g.dials.pending > 0 || g.dials.replacement != replacementNone,
	}
	g.sizesLocked(&s, now)
	g.lanesLocked(&s)
	for k := g.holders.first; k != nil && leakThreshold > 0 && now.Sub(k.GrantedAt()) >= leakThreshold; k = k.next {
		if !k.Standing {
			s.Leaking++
		}
	}
	return s
}

// sizesLocked counts a holder whose connection died under it as waiting: it has
// a permit but nothing to use it on.
func (g *Gate) sizesLocked(s *Snapshot, now time.Time) {
	s.InUse = min(g.busyLocked(), g.inUseLocked()) // what the pool itself holds for a moment is as good as idle
	s.Idle = g.conns - s.InUse
	s.Waiting = g.waiting + g.busyLocked() - s.InUse
	s.Kept = g.keptLocked()
	s.Quarantined, _ = g.unendedLocked(now, QuarantineAfter)
}

// unendedLocked counts the sessions that were given up so long ago and that the server
// has not ended, and returns how long ago the first of them was.
func (g *Gate) unendedLocked(now time.Time, after time.Duration) (n int, longest time.Duration) {
	for s := range g.closingSlots {
		if gone := now.Sub(s.gaveUp); gone >= after {
			n++
			longest = max(longest, gone)
		}
	}
	return n, longest
}

// lanesLocked sees to it that the lanes add up to InUse and Waiting. Which of
// the holders have lost their connection is not known; most are requests.
func (g *Gate) lanesLocked(s *Snapshot) {
	unserved := g.busyLocked() - s.InUse
	held := g.heldBy
	held[Probe] -= g.dials.internal
	for _, l := range []Lane{Request, Background, Probe} {
		n := min(unserved, held[l])
		unserved -= n
		s.Lanes[l] = LaneFigures{InUse: held[l] - n, Waiting: g.queue[l].n + n}
	}
}

// ServerFull reports whether the server refuses connections for want of room.
func (g *Gate) ServerFull() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dials.failure.Full
}
