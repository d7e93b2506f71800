package pool

import "time"

// holderRecord is a copy of what a permit says about its holder: a permit is used
// again as soon as it has come back.
type holderRecord struct {
	outer
	slot     *slot // nil when its connection died
	lane     Lane
	name     string
	granted  time.Time
	by       caller
	activity int32
}

// Holders returns up to n of those who hold a connection now, longest first;
// n <= 0 means all. It may be called concurrently and never blocks callers for
// longer than copying n records takes.
func (p *Pool) Holders(n int) []Holder {
	return p.describeAll(p.gate.oldest(n), time.Now())
}

func (p *Pool) describeAll(held []holderRecord, now time.Time) []Holder {
	out := make([]Holder, len(held))
	for i := range held {
		out[i] = p.describe(&held[i], now)
	}
	return out
}

// oldest returns the n that have been held longest.
func (g *gate) oldest(n int) []holderRecord {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n <= 0 || n > g.holders.n {
		n = g.holders.n
	}
	out := make([]holderRecord, 0, n)
	for k := g.holders.first; len(out) < n; k = k.next {
		out = append(out, k.recordLocked())
	}
	return out
}

func (p *permit) recordLocked() holderRecord {
	h := holderRecord{outer: outer{p, p.seq}, slot: p.slot, lane: p.lane, name: p.name, granted: p.grantedAt(), by: p.by}
	if h.slot != nil {
		h.activity = h.slot.activity.Load()
	}
	return h
}

// grantOf returns p's present grant; none when p is nil or holds nothing.
func (g *gate) grantOf(p *permit) outer {
	if p == nil {
		return outer{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.state != permitHeld {
		return outer{}
	}
	return outer{p, p.seq}
}

// holding returns what is known of a grant, while it lasts.
func (g *gate) holding(o outer) (h holderRecord, ok bool) {
	if o.p == nil {
		return h, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if o.p.state != permitHeld || o.p.seq != o.seq {
		return h, false
	}
	return o.p.recordLocked(), true
}

// describe tells who holds a connection.
func (p *Pool) describe(k *holderRecord, now time.Time) Holder {
	h := Holder{
		Lane:     k.lane,
		Name:     k.name,
		Caller:   k.by.place(p.plumbing),
		Held:     max(0, now.Sub(k.granted)),
		Activity: activityName(k.activity),
		Stack:    k.by.stack(p.plumbing),
	}
	if k.slot != nil {
		h.PID = k.slot.pid
	}
	h.Leaking = p.cfg.LeakThreshold > 0 && h.Held >= p.cfg.LeakThreshold
	return h
}
