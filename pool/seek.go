package pool

import (
	"context"
	"slices"
)

// seeker is the holder of a permit whose connection died before it could be
// used, waiting in Connect for another.
//
// A permit is granted for a connection, not for a certain one. The holder then
// finds it where it happens to be: in database/sql's free list, among the
// spares, or on its way into the free list from its last user. Only when there
// are more holders than connections does one of them have to seek.
type seeker struct {
	p   *permit
	got chan found
}

// found ends a seeker's wait: a connection, an error, or neither: look again in
// database/sql's free list.
type found struct {
	c   *conn
	err error
}

// seek finds a connection for the holder of a permit that found none free in
// database/sql. It returns nil when there should be one by now.
func (g *gate) seek(ctx context.Context, p *permit) (*conn, error) {
	c, k := g.takeSpare(p)
	if k == nil {
		return c, nil
	}
	g.demand()
	f, err := await(ctx, p, k.got)
	if err != nil {
		return g.unseek(k, err)
	}
	return f.c, f.err
}

// takeSpare returns a dialed connection; or registers a seeker when there are
// more holders than connections; or neither, when there is a connection for
// this holder but somebody is just putting it into database/sql's free list.
func (g *gate) takeSpare(p *permit) (*conn, *seeker) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &g.supply
	if n := len(s.spares); n > 0 {
		c := s.spares[n-1]
		s.spares[n-1] = nil
		s.spares = s.spares[:n-1]
		return c, nil
	}
	if g.lookingLocked() <= g.conns {
		return nil, nil
	}
	k := &seeker{p: p, got: make(chan found, 1)}
	s.seekers = append(s.seekers, k)
	slices.SortStableFunc(s.seekers, func(a, b *seeker) int { return a.p.asked.Compare(b.p.asked) })
	return nil, k
}

// lookingLocked is how many holders have a connection or look for one where
// they will find it: all but the seekers.
func (g *gate) lookingLocked() int { return g.held - len(g.supply.seekers) }

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

// wakeSeekerLocked sends seekers back to database/sql's free list, the oldest
// first, while it has a connection for one more.
func (g *gate) wakeSeekerLocked() {
	s := &g.supply
	for len(s.seekers) > 0 && g.lookingLocked() < g.conns {
		s.seekers[0].got <- found{}
		s.seekers = s.seekers[1:]
	}
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
	if err == ErrPoolTimeout {
		g.countTimeoutLocked(k.p)
	}
	g.supply.seekers = slices.DeleteFunc(g.supply.seekers, func(other *seeker) bool { return other == k })
	return nil, err
}

func (g *gate) refuseSeekersLocked(err error) {
	for _, k := range g.supply.seekers {
		k.got <- found{err: err}
	}
	g.supply.seekers = nil
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
