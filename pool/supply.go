package pool

import (
	"math/rand/v2"
	"time"
)

// supply is the gate's side of opening connections: how many are wanted, and how
// many may be dialed now.
//
// database/sql would dial in the goroutine of the caller that found nothing
// free. Then one hung dial holds up its caller although a connection was given
// back meanwhile, and a cancelled caller throws away a dial that was almost
// done. Here nobody waits for a dial: callers wait at the gate for a
// connection, whichever comes first, and dials run by themselves.
//
// All fields are guarded by gate.mu.
type supply struct {
	state   ServerState
	trouble trouble       // what the last failed dial meant, while state is not OK
	last    *DialError    // the last failed dial
	window  int           // how many dials may run at once: 1 after trouble, then doubling
	backoff time.Duration // the longest wait before the next dial; 0 while all is well
	retryAt time.Time     // no dial before this
	timer   *time.Timer   // fires at retryAt

	internal int // permits of the pool's own, which are given back at once

	recycled  time.Time // when the last connection was replaced
	owedAt    time.Time // when owed changed last
	owed      int       // dials in the place of connections that were closed; see successor.go
	successor successor // of the connection that is to be closed next
}

const (
	// maxDials is how many dials run at once. More would only queue at the
	// server's postmaster, which forks for each.
	maxDials = 8

	// Between dials to a server that refuses them the wait is drawn from
	// (0, backoff], doubled from minBackoff to maxBackoff. At most about 1.3
	// dials a second remain, and room is found within maxBackoff of appearing.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 1500 * time.Millisecond

	// idleProbe is how often a server in trouble is tried when nobody waits, so
	// that Stats does not tell of a trouble that has long passed.
	idleProbe = 15 * time.Second
)

// takeFreed returns whom to tell of slots that have come free.
func (g *gate) takeFreed() []func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	freed := g.freed
	g.freed = nil
	return freed
}

// startDials says how many dials to start now, and counts them as under way.
func (g *gate) startDials(now time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.presumeLocked(now)
	n := g.dialsWantedLocked(now)
	g.dialing += n
	g.counts.dials += uint64(n)
	return n
}

// presumeLocked forgets a trouble of which no dial can tell the end, because the
// limit has fallen to what there is: it would never be over, nor would anything
// be replaced until then. Whatever does not pass by itself is not forgotten.
func (g *gate) presumeLocked(now time.Time) {
	s := &g.supply
	if !s.state.OK && !s.trouble.permanent && g.conns >= g.limit && now.Sub(s.last.At) >= idleProbe {
		s.state, s.trouble = ServerState{OK: true, Since: now}, trouble{}
	}
}

// dialsWantedLocked is the smallest of what is needed, what the limit leaves and
// what the server can be asked for.
func (g *gate) dialsWantedLocked(now time.Time) int {
	s := &g.supply
	if g.closed || now.Before(s.retryAt) {
		return 0
	}
	return max(0, min(g.neededLocked(now)-g.dialing, g.roomLocked(), s.window-g.dialing))
}

// neededLocked is how many connections somebody waits for. What the pool itself
// holds for a moment is as good as free.
func (g *gate) neededLocked(now time.Time) int {
	s := &g.supply
	probe := min(g.queue[LaneProbe].n, max(0, 1-g.heldBy[LaneProbe]))
	background := min(g.queue[LaneBackground].n, max(0, g.backgroundCapLocked()-g.heldBy[LaneBackground]))
	waiting := g.queue[LaneRequest].n + probe + background
	need := g.replacingLocked(max(0, waiting-s.internal-min(probe, g.ownQueuedLocked())-g.claimed))
	if need == 0 && !s.state.OK && now.Sub(s.last.At) >= idleProbe {
		return 1
	}
	return need
}

// roomLocked is how many more sessions the limit allows.
func (g *gate) roomLocked() int { return g.limit - g.conns - g.dialing - g.closing }

// dialed takes in the outcome of a successful dial: the connection goes to who
// has waited longest for one. It reports false when the pool has been closed,
// and otherwise the server's state until now.
func (g *gate) dialed(sl *slot, now time.Time) (took bool, before ServerState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false, ServerState{}
	}
	sl.openLocked()
	s := &g.supply
	s.replacedLocked(now)
	before = s.state
	if !before.OK {
		s.state, s.trouble = ServerState{OK: true, Since: now}, trouble{}
	}
	s.backoff, s.retryAt = 0, time.Time{}
	s.window = min(s.window*2, maxDials)
	g.putLocked(sl, now)
	g.dispatchLocked(now)
	return true, before
}

// dialFailed takes in a failed dial. It reports whether the server's state
// changed by it, and arranges the next attempt.
func (g *gate) dialFailed(sl *slot, e *DialError, t trouble, now time.Time) (news bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	sl.giveUpLocked(now)
	if g.closed {
		return false // that is why it failed
	}
	g.counts.dialErrors++
	s := &g.supply
	if news = s.state.OK || s.state.Reason != t.reason; news {
		s.state = ServerState{Reason: t.reason, Since: now}
	}
	s.trouble, s.last = t, e
	s.window = 1
	if t.paced {
		s.forgoLocked() // there is no place for them
		s.backoff, s.retryAt = 0, time.Time{}
		return news
	}
	s.backoff = min(max(s.backoff*2, minBackoff), maxBackoff)
	s.retryAt = now.Add(1 + rand.N(s.backoff))
	s.timer.Reset(s.retryAt.Sub(now))
	if g.barredLocked(now) != nil {
		g.refuseAllLocked(e)
	}
	return news
}

// barredLocked is why nobody needs to wait: there is no connection, and none
// can be had until somebody changes something, such as the password. While
// connections exist callers are served by those. The next dial may find it changed.
func (g *gate) barredLocked(now time.Time) error {
	s := &g.supply
	if s.trouble.permanent && g.conns == 0 && now.Before(s.retryAt) {
		return s.last
	}
	return nil
}
