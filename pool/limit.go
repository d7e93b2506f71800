package pool

import "time"

// resize sets what is configured.
func (g *gate) resize(poolSize, maxOpen int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.poolSize, g.configured = poolSize, maxOpen
	g.limitLocked()
	g.supply.owed = min(g.supply.owed, max(0, g.limit-g.conns-g.dialing)) // else nothing would ever pay it
}

// setShare sets this replica's part of a fleet's budget and reports whether that is news.
func (g *gate) setShare(share int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shared && g.share == share {
		return false
	}
	g.shared, g.share = true, share
	g.limitLocked()
	return true
}

// limitLocked derives the limit: the smallest of all that bound it.
func (g *gate) limitLocked() {
	g.limit = g.configured
	if g.shared {
		g.limit = min(g.limit, g.share)
	}
	g.dispatchLocked(time.Now())
}

// settings returns what is configured: the most connections, and the pool size.
func (g *gate) settings() (configured, poolSize int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.configured, g.poolSize
}

// watcher waits for a condition on the gate's figures.
type watcher struct {
	holds func() bool // called with the lock held
	ready chan struct{}
}

// when returns a channel that is closed once condition holds.
func (g *gate) when(condition func() bool) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := watcher{condition, make(chan struct{})}
	g.watchers = append(g.watchers, w)
	g.watchLocked()
	return w.ready
}

// watchLocked tells the watchers; called where figures fall.
func (g *gate) watchLocked() {
	keep := g.watchers[:0]
	for _, w := range g.watchers {
		if w.holds() {
			close(w.ready)
			continue
		}
		keep = append(keep, w)
	}
	g.watchers = keep
}

// whenReleased: nobody holds a connection.
func (g *gate) whenReleased() <-chan struct{} {
	return g.when(func() bool { return g.held == 0 })
}

// whenIdleGone: the server has no session of this pool but those that callers hold.
func (g *gate) whenIdleGone() <-chan struct{} {
	return g.when(func() bool { return g.idleLocked() == 0 && g.dialing+g.closing == 0 })
}

// close refuses everybody from now on.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.refuseAllLocked(ErrClosed)
	g.supply.timer.Stop()
	g.expiry.timer.Stop()
}

// excess is by how many connections the limit is exceeded.
func (g *gate) excess() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.conns-g.limit)
}

func (g *gate) currentLimit() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit
}

// heldBack reports whether callers wait for the fleet's sake: the share, not
// the pool's own settings, leaves no room.
func (g *gate) heldBack() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting > g.ownLocked() && g.limit < g.configured && g.conns+g.dialing+g.closing >= g.limit
}

// load is what a gate is asked for; see fleet.Load.
type load struct{ Wanted, Keep, Max int }

// load is the most connections that callers held or waited for at once since the
// last call, the connections to keep, those that were closed for their age
// included, and the most that the pool's own settings allow.
func (g *gate) load() load {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.wantedLocked()
	l := load{Wanted: max(g.peak, now), Keep: g.conns + g.replacingLocked(0), Max: g.configured}
	g.peak = now
	return l
}

// wantedLocked is the callers that hold a connection or wait for one, but for those
// that wait only because the fleet looks on one: its own look is no load.
func (g *gate) wantedLocked() int { return g.busyLocked() + max(0, g.waiting-g.ownLocked()) }

// ownLocked is the pool's own errands: those that hold a connection, for which a
// caller may wait, and those in the queue.
func (g *gate) ownLocked() int { return g.supply.internal + g.ownQueuedLocked() }

func (g *gate) ownQueuedLocked() (n int) {
	for p := g.queue[LaneProbe].first; p != nil; p = p.next {
		if p.internal {
			n++
		}
	}
	return n
}

// lookable reports whether a look finds a connection without having one dialed.
func (g *gate) lookable() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conns > 0 && (g.idleLocked() > 0 || g.roomLocked() <= 0)
}
