package pool

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// gate decides who may hold a connection. It hands out permits: never more
// than there are usable connections, and never more than the limit.
//
// It counts connections by what the server has, in four states whose sum never
// exceeds the limit: in use and idle (together conns), dialing, and closing
// (given up here, not yet ended there). The gate knows no driver and no
// network: who opens connections asks startDials, who loses them says so.
//
// The lock's contract: mu guards every field below it. It is a leaf: nothing
// that locks, blocks, logs or runs user code is called under it, so it may be
// taken under database/sql's own locks. Methods that end in Locked expect it held.
type gate struct {
	maxWaiters int
	demand     func() // called, outside the lock, when connections may be wanted
	cancels    atomic.Uint64
	overLimit  atomic.Bool // conns > limit: one that comes back is one too many; asked by each

	mu         sync.Mutex
	configured int  // pool_size + max_overflow
	shared     bool // the pool belongs to a fleet
	share      int  // its part of the fleet's budget
	limit      int  // the most connections, in any state: the smaller of the two
	conns      int  // usable connections: in use or idle
	dialing    int
	closing    int

	held    int // permits handed out; InUse
	peak    int // the most held at once since load was asked last
	heldBy  [laneCount]int
	holders permitList // oldest first

	queue   [laneCount]permitList
	waiting int // in all queues
	turn    int // requests served since background last had its turn

	pace     pace
	poolSize int       // connections beyond it are overflow
	overflow time.Time // when more than poolSize were last in use
	closed   bool
	watchers []watcher

	open         map[*conn]struct{} // the usable connections
	strays       int                // reclaimed, and not yet given back by their holders
	closingSlots map[*slot]struct{}
	freed        []func() // to be called outside the lock; see slot.onFree
	supply       supply
	counts       counters
}

// counters is what Stats reports and only ever grows.
type counters struct {
	acquired, waited, timedOut, shed, canceled, nested uint64
	waitDuration, holdDuration                         time.Duration
	wait, hold                                         Histogram
	opened, dials, dialErrors, leaks                   uint64
	closedFor                                          ClosedStats
}

func newGate(cfg config.Config) *gate {
	return &gate{
		maxWaiters:   cfg.MaxWaiters,
		demand:       func() {},
		configured:   cfg.MaxOpen(),
		limit:        cfg.MaxOpen(),
		poolSize:     cfg.PoolSize,
		open:         make(map[*conn]struct{}),
		closingSlots: make(map[*slot]struct{}),
		supply:       supply{state: ServerState{OK: true, Since: time.Now()}, window: maxDials},
	}
}

// enter asks for a connection. It reports true when the permit was granted at
// once; otherwise the permit is queued (p.ready will be closed) or refused (p.err).
func (g *gate) enter(p *permit, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.err = g.refusalLocked(p, now); p.err != nil {
		p.state = permitDone
		if errors.Is(p.err, ErrOverloaded) {
			g.counts.shed++
		}
		return false
	}
	if g.servableLocked(p.lane) {
		g.grantLocked(p, now)
		return true
	}
	g.queueLocked(p)
	return false
}

// tryEnter grants a permit of the keeper's, only if a connection is idle and
// nobody waits. It is no acquisition: nothing is counted, nor learned from it.
func (g *gate) tryEnter(p *permit, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.waiting > 0 || !g.freeLocked() {
		return false
	}
	g.grantLocked(p, now)
	return true
}

// freeLocked reports whether a connection is ready for one more holder.
func (g *gate) freeLocked() bool { return g.held < min(g.conns, g.limit) }

// servableLocked reports whether a newcomer in lane l need not wait. Nobody can
// be ahead of it then: whoever waits in l while l has room is served at once.
func (g *gate) servableLocked(l Lane) bool { return g.freeLocked() && g.admitsLocked(l) }

// refusalLocked says why p must not even queue; nil when it may.
func (g *gate) refusalLocked(p *permit, now time.Time) error {
	switch {
	case g.closed:
		return ErrClosed
	case g.barredLocked(now) != nil:
		return g.barredLocked(now)
	case p.lane == LaneProbe || g.servableLocked(p.lane):
		return nil
	}
	wait := g.predictLocked(p.lane, now)
	if g.maxWaiters > 0 && g.waiting >= g.maxWaiters {
		return &refusal{wait: wait, full: true}
	}
	if wait > 0 && g.hopelessLocked(p, now, wait) {
		return &refusal{wait: wait}
	}
	return nil
}

// refusal is the gate's half of an AcquireError: ErrOverloaded and the prediction.
type refusal struct {
	wait time.Duration
	full bool // maxWaiters wait already
}

func (r *refusal) Error() string { return ErrOverloaded.Error() }
func (r *refusal) Unwrap() error { return ErrOverloaded }

// grantLocked lets p hold a connection from now on.
func (g *gate) grantLocked(p *permit, now time.Time) {
	if p.keeping {
		g.supply.keeping++
	} else {
		g.countGrantLocked(p, now)
	}
	p.state, p.waited = permitHeld, now.Sub(p.asked)
	p.uses.Store(1)
	g.holders.push(p)
	g.held++
	g.heldBy[p.lane]++
	g.peak = max(g.peak, g.busyLocked())
	g.turnLocked(p.lane)
	if p.lane == LaneRequest {
		g.pace.granted(now)
	}
	if g.busyLocked() > g.poolSize {
		g.overflow = now
	}
	if p.scope != nil {
		p.scope.held.CompareAndSwap(nil, p)
	}
}

// busyLocked is how many connections callers hold.
func (g *gate) busyLocked() int { return g.held - g.supply.keeping }

// countGrantLocked counts an acquisition that got its connection.
func (g *gate) countGrantLocked(p *permit, now time.Time) {
	waited := max(0, now.Sub(p.asked))
	if p.state == permitQueued {
		g.counts.waited++
		g.counts.waitDuration += waited
	}
	g.counts.acquired++
	g.counts.wait.observe(waited)
}

// countNested counts a caller that was refused because it holds a connection already.
func (g *gate) countNested() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.nested++
}

// bind notes that the call with p got a connection.
func (g *gate) bind(p *permit, c *conn) {
	p.conn.Store(c)
	p.uses.Add(1)
}

// unbind notes that p's connection was given back. When the connection did not
// survive, lost says so in the same step, so that nobody is granted its place.
func (g *gate) unbind(p *permit, now time.Time, lost func(*gate)) (released bool) {
	p.conn.Store(nil)
	if lost == nil {
		return p.lastUse() && g.settle(p, now)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	lost(g)
	if !p.lastUse() {
		return false
	}
	return g.settleLocked(p, now)
}

// returned notes that the database/sql call with p is over.
func (g *gate) returned(p *permit) (released bool) { return p.lastUse() && g.settle(p, time.Now()) }

// lastUse notes that the call with p, or its connection, needs it no more. It
// reports true when neither does: only then the lock has to be taken.
func (p *permit) lastUse() bool { return p.uses.Add(-1) == 0 }

func (g *gate) settle(p *permit, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.settleLocked(p, now)
}

// settleLocked takes the permit back and serves who is next. It reports false
// when that was done before, by takeAway.
func (g *gate) settleLocked(p *permit, now time.Time) bool {
	if p.state != permitHeld {
		return false
	}
	p.state = permitDone
	g.holders.remove(p)
	if g.busyLocked() > g.poolSize {
		g.overflow = now
	}
	g.held--
	g.heldBy[p.lane]--
	if p.keeping {
		g.supply.keeping--
	} else {
		g.countReturnLocked(p, now)
	}
	if p.scope != nil {
		p.scope.held.CompareAndSwap(p, nil)
	}
	g.watchLocked()
	g.wakeSeekerLocked()
	g.dispatchLocked(now)
	p.hungry = g.waiting > 0 && g.roomLocked() > 0
	return true
}

// countReturnLocked counts a connection that came back, and learns from it.
func (g *gate) countReturnLocked(p *permit, now time.Time) {
	hold := max(0, now.Sub(p.grantedAt()))
	if p.lane == LaneRequest {
		g.pace.returned(now, hold)
	}
	g.counts.holdDuration += hold
	g.counts.hold.observe(hold)
}
