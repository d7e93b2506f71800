package gate

import (
	"time"
)

// Statements that share a connection.
//
// While callers wait, a connection that comes free is granted to the run of
// statements at the head of a lane that may share it, in their order, and not to
// one: to at most maxRun of them, of which the server should make no more than
// maxRunCost. The caller of the first gets the permit, and sees to all of them. Where
// nobody waits nothing of this happens.
//
// A caller offers its statement once it stands in the queue. Until then, and if it
// does not, it is served alone.

const (
	maxRun     = 128
	maxRunCost = 2 * time.Millisecond
)

// Call is a statement that may share a connection, as a gate sees it.
type Call interface {
	// Cost is what the server is expected to need for it.
	Cost() time.Duration
	// Ready is closed when it was answered together with others, or when its caller
	// is to see to their answers.
	Ready() <-chan struct{}
	// Leave gives its answer up. It reports false when the answer has come.
	Leave() bool
}

// Rider is one statement of a run, and whose it is.
type Rider struct {
	P    *Permit
	Call Call
}

// RunLengths counts runs by how many statements they had; see RunLengthBounds.
type RunLengths [len(RunLengthBounds) + 1]uint64

// RunLengthBounds are the inclusive upper bounds of the buckets of RunLengths; the
// last bucket has none. Nothing is shared by fewer than two.
var RunLengthBounds = [...]int{2, 4, 8, 16, 32, 64}

func (l *RunLengths) observe(n int) {
	i := 0
	for i < len(RunLengthBounds) && n > RunLengthBounds[i] {
		i++
	}
	l[i]++
}

// Offer notes that p's statement may go with others, if p still waits.
func (g *Gate) Offer(p *Permit, c Call) {
	p.offered = c
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.state == permitQueued {
		p.call = c
	}
}

// Shared reports whether p's statement went with others, and was answered, or is to
// see to their answers.
func (p *Permit) Shared() bool { return p.shared }

// Run is what p was granted a connection for, its own statement first; nil for
// its own alone.
func (p *Permit) Run() []Rider { return p.run }

// Forget lets go of what p was used to share. The gate looks at it only while p is
// queued or shared.
func (p *Permit) Forget() { p.offered, p.shared, p.call, p.run = nil, false, nil, nil }

// gatherLocked adds to p, which was granted a connection, those who stand at the
// head of its lane and may share it.
func (g *Gate) gatherLocked(p *Permit, now time.Time) {
	if p.call == nil {
		return
	}
	own, cost := p.call, p.call.Cost()
	p.call = nil
	queue := &g.queue[p.Lane]
	for n := g.ridersLocked(queue.n); n > 0 && queue.first != nil && queue.first.call != nil; n-- {
		next := queue.first
		if cost += next.call.Cost(); cost > maxRunCost {
			break
		}
		g.unqueueLocked(next)
		if err := g.lateLocked(next, now); err != nil {
			g.finishLocked(next, now, err)
			continue
		}
		if p.run == nil {
			p.run, p.call = append(make([]Rider, 0, n+1), Rider{p, own}), own
		}
		g.shareLocked(next, now)
		p.run = append(p.run, Rider{next, next.call})
	}
	if p.riders = max(0, len(p.run)-1); p.riders > 0 {
		g.counts.runs++
		g.counts.shared += uint64(len(p.run))
		g.counts.runLengths.observe(len(p.run))
	}
}

// ridersLocked is how many of n who wait may go with one who does not: the part of
// one connection, so that the others find work too. Longer runs than that were
// tried: they keep those who stand behind a slow statement, and bring nothing.
func (g *Gate) ridersLocked(n int) int { return min(n/max(1, g.limit), maxRun-1) }

// shareLocked has p's statement go with somebody else's.
func (g *Gate) shareLocked(p *Permit, now time.Time) {
	g.countGrantLocked(p, now)
	p.state, p.waited = permitRiding, now.Sub(p.Asked)
}

// Disband puts those back in the queue who were to share p's connection: nothing
// was sent on it. Other connections may be free for them.
func (g *Gate) Disband(p *Permit, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range p.run[1:] {
		if r.P.state == permitRiding && r.P.call == r.Call {
			r.P.again = true
			g.requeueLocked(r.P)
		}
	}
	p.call, p.run, p.riders = nil, nil, 0
	g.dispatchLocked(now)
}

// PassOn makes the owner of to, or of a permit of nobody's, the holder of what
// from holds: it reads the answers from now on. It reports false when from does
// not hold it any more.
func (g *Gate) PassOn(from, to *Permit) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if from.state != permitHeld {
		return false
	}
	g.holders.remove(from)
	to.Lane, to.Slot, to.riders = from.Lane, from.Slot, from.riders
	to.seq++
	to.state = permitHeld
	g.holders.push(to)
	from.state, from.Slot, from.riders = permitDone, nil, 0
	if from.Scope != nil {
		from.Scope.held.CompareAndSwap(from, nil)
	}
	return true
}

// Rejoin has p, whose statement went with others and is to be executed again,
// wait for a connection of its own, in the place that it had.
func (g *Gate) Rejoin(p *Permit, now time.Time) Decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.Slot = nil
	return g.askAgainLocked(p, now)
}
