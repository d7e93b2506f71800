package gate

import (
	"math/rand/v2"
	"time"
)

// dials is the gate's side of opening connections: how many are wanted, and how
// many may be dialed now.
//
// database/sql would dial in the goroutine of the caller that found nothing
// free. Then one hung dial holds up its caller although a connection was given
// back meanwhile, and a cancelled caller throws away a dial that was almost
// done. Here nobody waits for a dial: callers wait at the gate for a
// connection, whichever comes first, and dials run by themselves.
//
// All fields are guarded by Gate.mu.
type dials struct {
	state   ServerState
	failure Failure       // the last failed dial, while state is not OK; else empty
	last    Failure       // the last failed dial
	window  int           // how many dials may run at once: 1 after trouble, then doubling
	backoff time.Duration // the longest wait before the next dial; 0 while all is well
	retryAt time.Time     // no dial before this
	timer   *time.Timer   // fires at retryAt

	internal int // permits of the pool's own, which are given back at once

	recycled    time.Time   // when the last connection was replaced
	pendingAt   time.Time   // when pending changed last
	pending     int         // dials in the place of connections that were closed; see replacement.go
	replacement replacement // of the connection that is to be closed next
}

const (
	// MaxDials is how many dials run at once. More would only queue at the
	// server's postmaster, which forks for each.
	MaxDials = 8

	// MinBackoff and MaxBackoff bound the wait between dials to a server that
	// refuses them. It is drawn from (0, backoff], doubled from one to the other.
	// At most about 1.3 dials a second remain, and room is found within
	// MaxBackoff of appearing.
	MinBackoff = 100 * time.Millisecond
	// MaxBackoff is the other bound: see MinBackoff.
	MaxBackoff = 1500 * time.Millisecond

	// IdleProbe is how often a server in trouble is tried when nobody waits, so
	// that Stats does not tell of a trouble that has long passed.
	IdleProbe = 15 * time.Second
)

// Failure is a failed dial, as far as it matters to a gate.
type Failure struct {
	Err       error // given as it is to callers that are refused for it; nil when there was none
	At        time.Time
	Reason    string
	Full      bool // the server has no room
	Permanent bool // trying again cannot help
	Paced     bool // whoever refused says itself when to try again
}

// ServerState says whether the server grants new connections.
type ServerState struct {
	OK     bool
	Reason string    // of the last failure, when not OK
	Since  time.Time // when the present state began
}

// TakeFreed returns whom to tell of slots that have come free.
func (g *Gate) TakeFreed() []func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	freed := g.freed
	g.freed = nil
	return freed
}

// StartDials says how many dials to start now, and counts them as under way.
func (g *Gate) StartDials(now time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clearStaleFailureLocked(now)
	n := g.dialsWantedLocked(now)
	g.dialing += n
	g.counts.dials += uint64(n)
	return n
}

// clearStaleFailureLocked clears a transient dial failure when the pool is at its
// limit: no dial would run, so nothing else could clear it, and nothing would be
// replaced until then. A failure that does not pass by itself stays.
func (g *Gate) clearStaleFailureLocked(now time.Time) {
	s := &g.dials
	if !s.state.OK && !s.failure.Permanent && g.conns >= g.limit && now.Sub(s.last.At) >= IdleProbe {
		s.state, s.failure = ServerState{OK: true, Since: now}, Failure{}
	}
}

// dialsWantedLocked is the smallest of what is needed, what the limit leaves and
// what the server can be asked for.
func (g *Gate) dialsWantedLocked(now time.Time) int {
	s := &g.dials
	if g.closed || now.Before(s.retryAt) {
		return 0
	}
	return max(0, min(g.neededLocked(now)-g.dialing, g.roomLocked(), s.window-g.dialing))
}

// neededLocked is how many connections somebody waits for. What the pool itself
// holds for a moment is as good as free.
func (g *Gate) neededLocked(now time.Time) int {
	s := &g.dials
	probe := min(g.queue[Probe].n, max(0, 1-g.heldBy[Probe]))
	background := min(g.queue[Background].n, max(0, g.backgroundCapLocked()-g.heldBy[Background]))
	waiting := g.queue[Request].n + probe + background
	need := g.replacingLocked(max(0, waiting-s.internal-min(probe, g.ownQueuedLocked())-g.claimed))
	if need == 0 && !s.state.OK && now.Sub(s.last.At) >= IdleProbe {
		return 1
	}
	return max(need, g.aheadLocked())
}

// aheadLocked is how many connections MinIdle wants ahead of need. It begins with
// the first connection, and a server in trouble is not asked for any.
func (g *Gate) aheadLocked() int {
	if g.minIdle == 0 || !g.dials.state.OK || g.counts.opened == 0 {
		return 0
	}
	return max(0, min(g.minIdle-g.idleLocked(), g.poolSize-g.conns))
}

// WhenWarm is closed when as many connections are idle as MinIdle asks for, or
// none can be had for it now.
func (g *Gate) WhenWarm() <-chan struct{} {
	return g.when(func() bool { return g.closed || g.aheadLocked() == 0 || g.conns+g.closing >= g.limit })
}

// roomLocked is how many more sessions the limit allows.
func (g *Gate) roomLocked() int { return g.limit - g.sessionsLocked() }

// Dialed takes in the outcome of a successful dial: the connection goes to who
// has waited longest for one. It reports false when the pool has been closed,
// and otherwise the server's state until now.
func (g *Gate) Dialed(sl *Slot, now time.Time) (took bool, before ServerState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false, ServerState{}
	}
	sl.openLocked()
	s := &g.dials
	s.replacedLocked(now)
	before = s.state
	if !before.OK {
		s.state, s.failure = ServerState{OK: true, Since: now}, Failure{}
	}
	s.backoff, s.retryAt = 0, time.Time{}
	s.window = min(s.window*2, MaxDials)
	g.putLocked(sl, now)
	g.dispatchLocked(now)
	g.watchLocked()
	return true, before
}

// DialFailed takes in a failed dial and arranges the next attempt. It reports false
// when the pool has been closed, which is why it failed then.
func (g *Gate) DialFailed(sl *Slot, f Failure, now time.Time) (took bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	sl.giveUpLocked(now)
	if g.closed {
		return false
	}
	g.counts.dialErrors++
	s := &g.dials
	if s.state.OK || s.state.Reason != f.Reason {
		s.state = ServerState{Reason: f.Reason, Since: now}
	}
	s.failure, s.last = f, f
	g.watchLocked()
	s.window = 1
	if f.Paced {
		s.forgoLocked() // there is no place for them
		s.backoff, s.retryAt = 0, time.Time{}
		return true
	}
	s.backoff = min(max(s.backoff*2, MinBackoff), MaxBackoff)
	s.retryAt = now.Add(1 + rand.N(s.backoff))
	s.timer.Reset(s.retryAt.Sub(now))
	if g.barredLocked(now) != nil {
		g.refuseAllLocked(f.Err)
	}
	return true
}

// TryAnew has the next caller find out whether what kept all connections from
// being opened has been put right, where it would be told of it at once.
func (g *Gate) TryAnew(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.barredLocked(now) != nil && g.dialing == 0 {
		g.dials.retryAt = now
	}
}

// barredLocked is why nobody needs to wait: there is no connection, and none
// can be had until somebody changes something, such as the password. While
// connections exist callers are served by those. The next dial may find it changed.
func (g *Gate) barredLocked(now time.Time) error {
	s := &g.dials
	if s.failure.Permanent && g.conns == 0 && now.Before(s.retryAt) {
		return s.last.Err
	}
	return nil
}
