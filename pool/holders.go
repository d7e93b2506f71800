package pool

import "time"

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
