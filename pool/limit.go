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
