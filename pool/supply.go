package pool

import (
	"context"
	"math/rand/v2"
	"time"
)

// supply is the gate's side of opening connections: how many are wanted, how
// many may be dialed now, and which are open but not yet in database/sql.
//
// database/sql would dial in the goroutine of the caller that found nothing
// free. Then one hung dial holds up its caller although a connection was given
// back meanwhile, and a cancelled caller throws away a dial that was almost
// done. Here nobody waits for a dial: callers wait at the gate for a
// connection, whichever comes first, and dials run by themselves.
//
// All fields are guarded by gate.mu.
type supply struct {
	spares  []*conn   // dialed and not yet taken by database/sql
	seekers []*seeker // holders of a permit whose connection died under them

	state   ServerState
	full    bool          // the trouble is that the server has no room
	window  int           // how many dials may run at once: 1 after trouble, then doubling
	backoff time.Duration // the longest wait before the next dial; 0 while all is well
	retryAt time.Time     // no dial before this
	timer   *time.Timer   // fires at retryAt
	last    *DialError

	recycled time.Time // when the last connection was replaced
	owed     int       // dials to replace recycled ones, so that an idle pool stays filled
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
)

// seeker is a permit holder that waits for a new connection in Connect.
type seeker struct {
	got chan found
}

// found ends a seeker's wait: a connection, an error, or neither: look again in
// database/sql's free list.
type found struct {
	c   *conn
	err error
}

// startDials says how many dials to start now, and counts them as under way.
func (g *gate) startDials(now time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.dialsWantedLocked(now)
	g.dialing += n
	g.counts.dials += uint64(n)
	return n
}

// dialsWantedLocked is the smallest of what is needed, what the limit leaves and
// what the server can be asked for.
func (g *gate) dialsWantedLocked(now time.Time) int {
	s := &g.supply
	if g.closed || now.Before(s.retryAt) {
		return 0
	}
	background := min(g.queue[LaneBackground].n, max(0, g.backgroundCapLocked()-g.heldBy[LaneBackground]))
	need := s.owed + g.queue[LaneProbe].n + g.queue[LaneRequest].n + background + max(0, g.held-g.conns)
	room := g.limit - g.conns - g.dialing - g.closing
	return max(0, min(need-g.dialing, room, s.window-g.dialing))
}

// dialed takes in the outcome of a successful dial: the connection goes to who
// has waited longest for one. It reports false when the pool has been closed.
func (g *gate) dialed(c *conn, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	c.slot.openLocked(c)
	s := &g.supply
	s.owed = max(0, s.owed-1)
	if !s.state.OK {
		s.state = ServerState{OK: true, Since: now}
		s.full = false
	}
	s.backoff, s.retryAt = 0, time.Time{}
	s.window = min(s.window*2, maxDials)
	g.spareLocked(c)
	g.dispatchLocked(now)
	return true
}

// spareLocked keeps c for the next Connect.
func (g *gate) spareLocked(c *conn) {
	s := &g.supply
	if len(s.seekers) > 0 {
		s.seekers[0].got <- found{c: c}
		s.seekers = s.seekers[1:]
		return
	}
	s.spares = append(s.spares, c)
}

// dialFailed takes in a failed dial. It reports whether the server's state
// changed by it, and arranges the next attempt.
func (g *gate) dialFailed(sl *slot, e *DialError, t trouble, now time.Time) (news bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	sl.giveUpLocked(now)
	g.counts.dialErrors++
	s := &g.supply
	s.last = e
	if news = s.state.OK || s.state.Reason != t.reason; news {
		s.state = ServerState{Reason: t.reason, Since: now}
	}
	s.full, s.owed = t.full, 0
	s.window = 1
	s.backoff = min(max(s.backoff*2, minBackoff), maxBackoff)
	s.retryAt = now.Add(1 + rand.N(s.backoff))
	s.timer.Reset(s.retryAt.Sub(now))
	if t.permanent && g.conns == 0 {
		g.refuseAllLocked(e)
		g.refuseSeekersLocked(e)
	}
	return news
}

func (g *gate) refuseSeekersLocked(err error) {
	for _, k := range g.supply.seekers {
		k.got <- found{err: err}
	}
	g.supply.seekers = nil
}

// seek finds a connection for the holder of a permit that found none free in
// database/sql. It returns nil when there should be one by now.
func (g *gate) seek(ctx context.Context, p *permit) (*conn, error) {
	c, k := g.takeSpare()
	if k == nil {
		return c, nil
	}
	g.demand()
	timer := time.NewTimer(time.Until(p.deadline))
	defer timer.Stop()
	select {
	case f := <-k.got:
		return f.c, f.err
	case <-timer.C:
		return g.unseek(k, ErrPoolTimeout)
	case <-ctx.Done():
		return g.unseek(k, ctx.Err())
	}
}

// takeSpare returns a dialed connection, or registers a seeker when one is owed
// to nobody else, or neither when a connection was given back that database/sql
// has not put into its free list yet.
func (g *gate) takeSpare() (*conn, *seeker) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &g.supply
	if n := len(s.spares); n > 0 {
		c := s.spares[n-1]
		s.spares[n-1] = nil
		s.spares = s.spares[:n-1]
		return c, nil
	}
	if g.held <= g.conns {
		return nil, nil
	}
	k := &seeker{got: make(chan found, 1)}
	s.seekers = append(s.seekers, k)
	return nil, k
}

// unseek ends the wait of k with err, unless a connection came at the last moment.
func (g *gate) unseek(k *seeker, err error) (*conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case f := <-k.got:
		return f.c, f.err
	default:
	}
	for i, other := range g.supply.seekers {
		if other == k {
			g.supply.seekers = append(g.supply.seekers[:i], g.supply.seekers[i+1:]...)
			break
		}
	}
	return nil, err
}

// wakeSeekerLocked tells a seeker that a connection went back to database/sql
// which is owed to it.
func (g *gate) wakeSeekerLocked() {
	s := &g.supply
	if len(s.seekers) > 0 && g.held <= g.conns {
		s.seekers[0].got <- found{}
		s.seekers = s.seekers[1:]
	}
}

// takeSpares takes all spares out, for closing.
func (g *gate) takeSpares() []*conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	spares := g.supply.spares
	g.supply.spares = nil
	for _, c := range spares {
		g.lostLocked(c)
	}
	return spares
}
