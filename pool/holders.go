package pool

import "time"

// Holders returns up to n of those who hold a connection now, longest first;
// n <= 0 means all. It may be called concurrently and never blocks callers for
// longer than copying n pointers takes.
func (p *Pool) Holders(n int) []Holder {
	return p.describeAll(p.gate.oldest(n), time.Now())
}

func (p *Pool) describeAll(permits []*permit, now time.Time) []Holder {
	out := make([]Holder, len(permits))
	for i, k := range permits {
		out[i] = p.describe(k, now)
	}
	return out
}

// oldest returns the n permits that have been held longest.
func (g *gate) oldest(n int) []*permit {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n <= 0 || n > g.holders.n {
		n = g.holders.n
	}
	out := make([]*permit, 0, n)
	for k := g.holders.first; len(out) < n; k = k.next {
		out = append(out, k)
	}
	return out
}

// describe tells who holds k. What never changes after the grant is read
// without the lock; what the connection does, from its atomics.
func (p *Pool) describe(k *permit, now time.Time) Holder {
	h := Holder{
		Lane:     k.lane,
		Name:     k.name,
		Caller:   k.by.String(),
		Held:     max(0, now.Sub(k.grantedAt())),
		Activity: activityName(k.doing()),
		Stack:    k.by.stack(),
	}
	if c := k.conn.Load(); c != nil {
		h.PID = c.pid
	}
	h.Leaking = p.cfg.LeakThreshold > 0 && h.Held >= p.cfg.LeakThreshold
	return h
}

// doing is what the holder's connection does.
func (p *permit) doing() int32 {
	if c := p.conn.Load(); c != nil {
		return c.activity.Load()
	}
	return p.foreign.Load()
}
