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
	if h.slot != nil && h.slot.backend != nil {
		h.activity = h.slot.backend.doing()
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

// newLeaks returns the holders past threshold that have not been warned of, and marks them.
func (g *gate) newLeaks(now time.Time, threshold time.Duration) []holderRecord {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []holderRecord
	for p := g.holders.first; p != nil && now.Sub(p.grantedAt()) >= threshold; p = p.next {
		if !p.warned {
			p.warned = true
			g.counts.leaks++
			out = append(out, p.recordLocked())
		}
	}
	return out
}

// takeAway takes a grant back. Whoever wins the race for activity, the holder's
// next statement or this, excludes the other.
func (g *gate) takeAway(h holderRecord, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, was := h.p, h.slot.activity.Load()
	unused := was == activityIdle || was == activityTx || was == activityRows
	if k.state != permitHeld || k.seq != h.seq || k.slot != h.slot || !unused || !h.slot.activity.CompareAndSwap(was, activityReclaimed) {
		return false
	}
	g.lostLocked(h.slot, closeUnclean)
	g.settleLocked(k, now)
	g.dispatchLocked(now)
	return true
}
