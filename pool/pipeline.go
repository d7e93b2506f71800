package pool

import (
	"cmp"
	"database/sql/driver"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// Statements that share a connection.
//
// While callers wait, the gate grants a connection that comes free to the run of
// statements at the head of a lane that may share it, in their order, and not to
// one: to at most maxRun of them, of which the server should make no more than
// maxRunCost. The caller of the first gets the permit. It sends all of them in
// one pipeline, reads the answers and gives the connection back before it wakes
// the others; see internal/pgdriver. Where nobody waits nothing of this happens.
//
// A caller offers its statement once it stands in the queue, with its arguments
// encoded by itself. Until then, and if it does not, it is served alone.

const (
	maxRun     = 128
	maxRunCost = 2 * time.Millisecond
)

// offer is a statement that may share a connection, as its caller brings it.
type offer struct {
	statement *pgdriver.Statement // nil when it may not
	face      pgdriver.Face
	named     []driver.NamedValue // its arguments, from database/sql
	values    []any               // or from pgx
	owner     *virtual
	call      *pgdriver.Call // once it was offered
	shared    bool           // it went with others, and was answered, or is to read the answers
}

// arguments are the arguments as pgx takes them.
func (o *offer) arguments() []any {
	if o.named == nil {
		return o.values
	}
	values := make([]any, len(o.named))
	for i, a := range o.named {
		values[i] = a.Value
	}
	return values
}

// offer has k's statement share a connection, if it can, while k waits.
func (p *Pool) offer(k *permit) {
	if k.offer.statement == nil {
		return
	}
	why := k.offer.statement.Why(time.Now())
	if why == pgdriver.Shares && k.outer.p != nil {
		why = pgdriver.BecauseNested
	}
	if why == pgdriver.Shares {
		if k.offer.call = pgdriver.NewCall(k.offer.statement, k.offer.face, k.offer.arguments()); k.offer.call == nil {
			why = pgdriver.BecauseArguments
		}
	}
	if why != pgdriver.Shares {
		p.unshared[why].Add(1)
		return
	}
	k.offer.call.Owner = k.offer.owner
	p.gate.offered(k)
}

// offered notes that p's statement may go with others, if p still waits.
func (g *gate) offered(p *permit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.state == permitQueued {
		p.call = p.offer.call
	}
}

// gatherLocked adds to p, which was granted a connection, those who stand at the
// head of its lane and may share it.
func (g *gate) gatherLocked(p *permit, now time.Time) {
	if p.call == nil {
		return
	}
	own, cost := p.call, p.call.Statement().Cost()
	p.call = nil
	queue := &g.queue[p.lane]
	for n := g.runLocked(queue.n); n > 0 && queue.first != nil && queue.first.call != nil; n-- {
		next := queue.first
		if cost += next.call.Statement().Cost(); cost > maxRunCost {
			break
		}
		g.unqueueLocked(next)
		if err := g.lateLocked(next, now); err != nil {
			g.finishLocked(next, now, err)
			continue
		}
		if p.run == nil {
			p.run, p.call = append(make([]*pgdriver.Call, 0, n+1), own), own
		}
		g.shareLocked(next, now)
		p.run = append(p.run, next.call)
	}
	if p.riders = max(0, len(p.run)-1); p.riders > 0 {
		g.counts.runs++
		g.counts.shared += uint64(len(p.run))
		g.counts.runLengths.observe(len(p.run))
	}
}

// runLocked is how many of n who wait may go with somebody: as many as are the
// part of one connection, so that the others find work too.
func (g *gate) runLocked(n int) int {
	part := (n + 1 + g.limit - 1) / max(1, g.limit)
	return min(max(part, 1), maxRun) - 1
}

// shareLocked has p's statement go with somebody else's.
func (g *gate) shareLocked(p *permit, now time.Time) {
	g.countGrantLocked(p, now)
	p.state, p.waited = permitRiding, now.Sub(p.asked)
}

// disband puts those back in the queue who were to share p's connection: nothing
// was sent on it. Other connections may be free for them.
func (g *gate) disband(p *permit, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range p.run[1:] {
		k := &c.Owner.(*virtual).permit
		if k.state == permitRiding && k.call == c {
			k.again = true
			g.requeueLocked(k)
		}
	}
	p.call, p.run, p.riders = nil, nil, 0
	g.dispatchLocked(now)
}

// passOn makes the holder of to, or of a permit of nobody's, the holder of what
// from holds: it reads the answers from now on. It reports false when from does
// not hold it any more.
func (g *gate) passOn(from, to *permit) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if from.state != permitHeld {
		return false
	}
	g.holders.remove(from)
	to.lane, to.slot, to.riders = from.lane, from.slot, from.riders
	to.seq++
	to.state = permitHeld
	g.holders.push(to)
	from.state, from.slot, from.riders = permitDone, nil, 0
	if from.scope != nil {
		from.scope.held.CompareAndSwap(from, nil)
	}
	return true
}

// rejoin has p, whose statement went with others and is to be executed again,
// wait for a connection of its own, in the place that it had.
func (g *gate) rejoin(p *permit, now time.Time) decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.slot, p.again = nil, true
	if p.err = cmp.Or(g.shutLocked(), g.barredLocked(now)); p.err != nil {
		p.state = permitDone
		return decidedRefused
	}
	if g.servableLocked(p.lane) {
		g.grantLocked(p, now)
		return decidedGranted
	}
	g.requeueLocked(p)
	return decidedQueued
}
