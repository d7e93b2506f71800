package gate

import "time"

// Resize sets what is configured.
func (g *Gate) Resize(poolSize, maxOpen int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.poolSize, g.configured = poolSize, maxOpen
	g.limitLocked()
	g.dials.pending = min(g.dials.pending, max(0, g.limit-g.conns-g.dialing)) // else nothing would ever pay it
}

// SetShare sets this replica's part of a fleet's budget and reports whether that is news.
func (g *Gate) SetShare(share int) bool {
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
func (g *Gate) limitLocked() {
	g.limit = g.configured
	if g.shared {
		g.limit = min(g.limit, g.share)
	}
	g.dispatchLocked(time.Now())
}

// Settings returns what is configured: the most connections, and the pool size.
func (g *Gate) Settings() (configured, poolSize int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.configured, g.poolSize
}

// Sessions is how many sessions the server has, or may have, for this pool.
func (g *Gate) Sessions() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sessionsLocked()
}

func (g *Gate) sessionsLocked() int { return g.conns + g.dialing + g.closing }

// WhenSessions is closed when there are n sessions at most.
func (g *Gate) WhenSessions(n int) <-chan struct{} {
	return g.when(func() bool { return g.sessionsLocked() <= n })
}

// HasServer reports whether connections are open, or can be opened as far as is
// known, and if not, why the last dial failed.
func (g *Gate) HasServer() (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dials.state.OK || g.conns > 0 {
		return true, nil
	}
	return false, g.dials.last.Err
}

// watcher waits for a condition on the gate's figures.
type watcher struct {
	holds func() bool // called with the lock held
	ready chan struct{}
}

// when returns a channel that is closed once condition holds.
func (g *Gate) when(condition func() bool) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := watcher{condition, make(chan struct{})}
	g.watchers = append(g.watchers, w)
	g.watchLocked()
	return w.ready
}

// watchLocked tells the watchers; called where figures fall.
func (g *Gate) watchLocked() {
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

// WhenReleased is closed when nobody holds a connection.
func (g *Gate) WhenReleased() <-chan struct{} {
	return g.when(func() bool { return g.held == 0 })
}

// WhenIdleGone is closed when the server has no session of this pool but those that callers hold.
func (g *Gate) WhenIdleGone() <-chan struct{} {
	return g.when(func() bool { return g.idleLocked() == 0 && g.dialing+g.closing == 0 })
}

// Close refuses everybody from now on.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.refuseAllLocked(ErrClosed)
	g.dials.timer.Stop()
	g.expiry.timer.Stop()
}

// Excess is by how many connections the limit is exceeded.
func (g *Gate) Excess() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.conns-g.limit)
}

// Limit is the most connections that may exist now.
func (g *Gate) Limit() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit
}

// HeldBack reports whether callers wait for the fleet's sake: the share, not
// the pool's own settings, leaves no room.
func (g *Gate) HeldBack() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting > g.ownLocked() && g.limit < g.configured && g.roomLocked() <= 0
}

// Load is what a gate is asked for; see fleet.Load.
type Load struct{ Wanted, Keep, Max int }

// Load is the most connections that callers held or waited for at once since the
// last call, the connections to keep, those that were closed for their age
// included, and the most that the pool's own settings allow.
func (g *Gate) Load() Load {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.wantedLocked()
	l := Load{Wanted: max(g.peak, now), Keep: g.conns + g.replacingLocked(0), Max: g.configured}
	g.peak = now
	return l
}

// wantedLocked is the callers that hold a connection or wait for one, but for those
// that wait only because the fleet looks on one: its own look is no load.
func (g *Gate) wantedLocked() int { return g.busyLocked() + max(0, g.waiting-g.ownLocked()) }

// ownLocked is the pool's own errands: those that hold a connection, for which a
// caller may wait, and those in the queue.
func (g *Gate) ownLocked() int { return g.dials.internal + g.ownQueuedLocked() }

func (g *Gate) ownQueuedLocked() (n int) {
	for p := g.queue[Probe].first; p != nil; p = p.next {
		if p.Internal {
			n++
		}
	}
	return n
}

// Lookable reports whether a look finds a connection without having one dialed.
func (g *Gate) Lookable() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conns > 0 && (g.idleLocked() > 0 || g.roomLocked() <= 0)
}
