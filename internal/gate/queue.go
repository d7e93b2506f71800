package gate

import "time"

// permitList is a doubly linked list through permit.prev and permit.next:
// leaving it from the middle is O(1), whatever its length.
type permitList struct {
	first, last *Permit
	n           int
}

func (l *permitList) push(p *Permit) {
	p.prev, p.next = l.last, nil
	if l.last != nil {
		l.last.next = p
	} else {
		l.first = p
	}
	l.last = p
	l.n++
}

// insert puts p before next; at the end if that is nil.
func (l *permitList) insert(p, next *Permit) {
	if next == nil {
		l.push(p)
		return
	}
	p.prev, p.next = next.prev, next
	if next.prev != nil {
		next.prev.next = p
	} else {
		l.first = p
	}
	next.prev = p
	l.n++
}

func (l *permitList) remove(p *Permit) {
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		l.first = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		l.last = p.prev
	}
	p.prev, p.next = nil, nil
	l.n--
}

// queueLocked makes p wait at the end of its lane.
func (g *Gate) queueLocked(p *Permit) {
	if p.Outer.P != nil {
		g.counts.nested++
	}
	g.waitLocked(p)
	g.queue[p.Lane].push(p)
	g.peak = max(g.peak, g.wantedLocked())
}

// requeueLocked makes p wait before all those in its lane who asked after it.
func (g *Gate) requeueLocked(p *Permit) {
	g.waitLocked(p)
	l := &g.queue[p.Lane]
	before := l.first
	for before != nil && before.arrival < p.arrival {
		before = before.next
	}
	l.insert(p, before)
	g.peak = max(g.peak, g.wantedLocked())
}

// waitLocked is what both have in common.
func (g *Gate) waitLocked(p *Permit) {
	p.state = permitQueued
	if p.ready == nil {
		p.ready = make(chan struct{}, 1)
	}
	p.WantsDial = g.roomLocked() > 0
	g.waiting++
	if p.Outer.P != nil {
		g.nested++
	}
	g.usage.waiting = max(g.usage.waiting, g.waiting)
	g.expireLocked(p)
}

// unqueueLocked takes p out of its lane, wherever in it p stands.
func (g *Gate) unqueueLocked(p *Permit) {
	g.queue[p.Lane].remove(p)
	g.waiting--
	if p.Outer.P != nil {
		g.nested--
	}
}

// finishLocked ends the wait of p, which has left its queue, without a connection.
func (g *Gate) finishLocked(p *Permit, now time.Time, err error) {
	p.Err = err
	g.giveUpLocked(p)
	g.countWaitLocked(p, now)
	p.ready <- struct{}{}
}

// departure is how a caller that will not wait any longer left.
type departure uint8

const (
	decidedBefore  departure = iota // not at all: the permit was granted or refused in the meantime
	answeredBefore                  // not at all: its statement was answered with others
	leftQueue
	leftRun // its statement was sent with others, and nobody will hear the answer
)

// leave takes a caller out that will not wait any longer.
func (g *Gate) leave(p *Permit, now time.Time, timedOut bool) departure {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch p.state {
	case permitQueued:
	case permitRiding:
		if !p.call.Leave() {
			return answeredBefore
		}
		p.state = permitDone
		return leftRun
	default:
		return decidedBefore
	}
	g.unqueueLocked(p)
	g.giveUpLocked(p)
	g.countWaitLocked(p, now)
	switch {
	case timedOut:
		g.countTimeoutLocked(p)
	case !p.Internal:
		g.counts.canceled++
	}
	return leftQueue
}

// countTimeoutLocked counts a caller whose wait took too long. A monitor's probe
// is no caller.
func (g *Gate) countTimeoutLocked(p *Permit) {
	if !p.Internal && p.Lane != Probe {
		g.counts.timedOut++
	}
}

// countWaitLocked counts the time of a caller that waited in vain.
func (g *Gate) countWaitLocked(p *Permit, now time.Time) {
	since := p.Asked
	if p.again {
		since = p.GrantedAt() // the time until then was counted
	}
	if !p.Internal {
		g.counts.waitDuration += max(0, now.Sub(since))
	}
}

// refuseAllLocked ends the wait of everybody in the queue with err.
func (g *Gate) refuseAllLocked(err error) {
	now := time.Now()
	for l := range g.queue {
		for p := g.queue[l].first; p != nil; p = g.queue[l].first {
			g.unqueueLocked(p)
			g.finishLocked(p, now, err)
		}
	}
}
