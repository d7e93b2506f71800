package pool

import (
	"slices"
	"time"
)

// pace knows how quickly connections come back. It predicts waits from the
// connection-seconds that the last units of work took together: time in which
// connections were held, divided by how many were given back in it. Held time
// grows while nothing comes back, so the estimate rises during a stall without
// waiting for the stalled work to end, and idle time does not count at all, so
// a quiet hour leaves no stale verdict.
type pace struct {
	held     int           // connections held since at
	at       time.Time     // when busy was last brought up to date
	busy     time.Duration // connection-seconds held since the beginning
	returns  [32]returned  // ring of the latest returns
	next     int           // where the next return goes
	recorded int           // how many of returns are filled
}

type returned struct {
	at   time.Time
	busy time.Duration // pace.busy at that moment
	hold time.Duration // how long this connection was held
}

// memory is how far back returns are believed. Older ones say nothing about
// the present: the pool has been idle, or its holders are stuck.
const memory = 10 * time.Second

// changed tells the pace that the number of held connections is now held.
func (p *pace) changed(now time.Time, held int) {
	p.busy = p.busyAt(now)
	p.at, p.held = now, held
}

func (p *pace) busyAt(now time.Time) time.Duration {
	if p.at.IsZero() {
		return 0
	}
	return p.busy + time.Duration(p.held)*now.Sub(p.at)
}

// record notes that a connection came back after hold.
func (p *pace) record(now time.Time, hold time.Duration) {
	p.returns[p.next] = returned{at: now, busy: p.busyAt(now), hold: hold}
	p.next = (p.next + 1) % len(p.returns)
	p.recorded = min(p.recorded+1, len(p.returns))
}

// recent returns the oldest believed return and how many came since; ok is
// false when nothing recent is known.
func (p *pace) recent(now time.Time) (oldest returned, since int, ok bool) {
	for i := p.recorded; i > 0; i-- {
		r := p.returns[(p.next-i+len(p.returns))%len(p.returns)]
		if now.Sub(r.at) <= memory {
			return r, i, true
		}
	}
	return returned{}, 0, false
}

// cost is the connection-seconds one unit of work takes at present; 0 when unknown.
func (p *pace) cost(now time.Time) time.Duration {
	oldest, since, ok := p.recent(now)
	if !ok {
		return 0
	}
	// The oldest return's own hold stands in for the time before it, so that
	// the interval and the number of returns in it match.
	return (p.busyAt(now) - oldest.busy + oldest.hold) / time.Duration(since)
}

// wait predicts how long a newcomer with ahead callers before it waits when
// capacity connections serve the queue; 0 when unknown.
func (p *pace) wait(now time.Time, ahead, capacity int) time.Duration {
	if capacity <= 0 {
		return 0
	}
	return time.Duration(ahead+1) * p.cost(now) / time.Duration(capacity)
}

// quick is the hold time that one in four recent units of work stayed within;
// 0 when unknown. Who has less time left than that will hardly finish.
func (p *pace) quick(now time.Time) time.Duration {
	_, since, ok := p.recent(now)
	if !ok {
		return 0
	}
	var holds [len(p.returns)]time.Duration
	for i := range since {
		holds[i] = p.returns[(p.next-1-i+2*len(p.returns))%len(p.returns)].hold
	}
	slices.Sort(holds[:since])
	return holds[(since-1)/4]
}
