package pool

import "time"

// permitList is a doubly linked list through permit.prev and permit.next:
// leaving it from the middle is O(1), whatever its length.
type permitList struct {
	first, last *permit
	n           int
}

func (l *permitList) push(p *permit) {
	p.prev, p.next = l.last, nil
	if l.last != nil {
		l.last.next = p
	} else {
		l.first = p
	}
	l.last = p
	l.n++
}

func (l *permitList) remove(p *permit) {
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
func (g *gate) queueLocked(p *permit) {
	if p.outer != nil {
		g.counts.nested++
	}
	p.state = permitQueued
	p.ready = make(chan struct{})
	p.hungry = g.roomLocked() > 0
	g.queue[p.lane].push(p)
	g.waiting++
}

// unqueueLocked takes p out of its lane, wherever in it p stands.
func (g *gate) unqueueLocked(p *permit) {
	g.queue[p.lane].remove(p)
	g.waiting--
}

// dispatchLocked grants permits while connections and waiters last.
func (g *gate) dispatchLocked(now time.Time) {
	for g.freeLocked() {
		p := g.nextLocked()
		if p == nil {
			return
		}
		g.unqueueLocked(p)
		if err := g.lateLocked(p, now); err != nil {
			g.finishLocked(p, now, err)
			continue
		}
		g.grantLocked(p, now)
		close(p.ready)
	}
}

// lateLocked says why p, whose turn it is, is not served after all: its wait
// has ended although its timer has not fired yet, or what is left of its own
// deadline does not suffice for the work, so that serving it would spend a
// connection on an answer that nobody waits for while others wait for it.
func (g *gate) lateLocked(p *permit, now time.Time) error {
	if !now.Before(p.waitEnds()) {
		g.countTimeoutLocked(p)
		return ErrPoolTimeout
	}
	if g.waiting > 0 && g.hopelessLocked(p, now, 0) {
		g.counts.shed++
		return &refusal{wait: now.Sub(p.asked)}
	}
	return nil
}

// finishLocked ends the wait of p, which has left its queue, without a connection.
func (g *gate) finishLocked(p *permit, now time.Time, err error) {
	p.state, p.err = permitDone, err
	g.countWaitLocked(p, now)
	close(p.ready)
}

// leave takes a caller out of the queue that will not wait any longer. It
// reports false when the permit was granted or refused in the meantime.
func (g *gate) leave(p *permit, now time.Time, timedOut bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.state != permitQueued {
		return false
	}
	g.unqueueLocked(p)
	p.state = permitDone
	g.countWaitLocked(p, now)
	switch {
	case timedOut:
		g.countTimeoutLocked(p)
	case !p.keeping:
		g.counts.canceled++
	}
	return true
}

// countTimeoutLocked counts a caller whose wait took too long.
func (g *gate) countTimeoutLocked(p *permit) {
	if !p.keeping {
		g.counts.timedOut++
	}
}

// countWaitLocked counts the time of a caller that waited in vain.
func (g *gate) countWaitLocked(p *permit, now time.Time) {
	if !p.keeping {
		g.counts.waitDuration += max(0, now.Sub(p.asked))
	}
}

// refuseAllLocked ends the wait of everybody in the queue with err.
func (g *gate) refuseAllLocked(err error) {
	now := time.Now()
	for l := range g.queue {
		for p := g.queue[l].first; p != nil; p = g.queue[l].first {
			g.unqueueLocked(p)
			g.finishLocked(p, now, err)
		}
	}
}
