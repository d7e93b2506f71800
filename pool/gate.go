package pool

import (
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
// network: who opens connections asks wantDials, who loses them says so.
//
// The lock's contract: mu guards every field below it. It is a leaf: nothing
// that locks, blocks, logs or runs user code is called under it, so it may be
// taken under database/sql's own locks. Methods that end in Locked expect it held.
type gate struct {
	maxWaiters int
	demand     func() // called, outside the lock, when connections may be wanted
	cancels    atomic.Uint64

	mu         sync.Mutex
	configured int // pool_size + max_overflow
	share      int // this replica's part of a fleet's budget; 0 when there is none
	limit      int // the most connections, in any state: the smaller of the two
	conns      int // usable connections: in use or idle
	dialing    int
	closing    int

	held    int // permits handed out; InUse
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
	closingSlots map[*slot]struct{}
	supply       supply
	counts       counters
}

// counters is what Stats reports and only ever grows.
type counters struct {
	acquired, waited, timedOut, shed, canceled, nested uint64
	waitDuration, holdDuration                         time.Duration
	wait, hold                                         Histogram
	opened, dials, dialErrors, cancels, leaks          uint64
	closedFor                                          ClosedStats
}

// backgroundTurn is after how many requests a waiting background task is served.
const backgroundTurn = 4

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
		if p.err != ErrClosed {
			g.counts.shed++
		}
		return false
	}
	if g.waiting == 0 && g.freeLocked() && g.admitsLocked(p.lane) {
		g.grantLocked(p, now)
		return true
	}
	p.state = permitQueued
	if p.outer != nil {
		g.counts.nested++
	}
	p.ready = make(chan struct{})
	g.queue[p.lane].push(p)
	g.waiting++
	g.dispatchLocked(now) // an eligible lane may be free although another waits
	return p.state == permitHeld
}

// refusalLocked says why p must not even queue; nil when it may.
func (g *gate) refusalLocked(p *permit, now time.Time) error {
	if g.closed {
		return ErrClosed
	}
	if p.lane == LaneProbe || g.freeLocked() && g.admitsLocked(p.lane) {
		return nil
	}
	if g.maxWaiters > 0 && g.waiting >= g.maxWaiters {
		return &refusal{}
	}
	if wait := g.predictLocked(p, now); wait > 0 && now.Add(wait).After(p.deadline) {
		return &refusal{wait: wait}
	}
	return nil
}

// refusal is the gate's half of an AcquireError: ErrOverloaded and the prediction.
type refusal struct{ wait time.Duration }

func (r *refusal) Error() string { return ErrOverloaded.Error() }
func (r *refusal) Unwrap() error { return ErrOverloaded }

// predictLocked is how long p would have to wait before its work could be done
// in time; 0 when nothing speaks against it. Only requests are judged: probes
// go first, and background tasks have nobody who waits for an answer.
//
// A pool that may still grow is judged as if it had grown already: it is better
// to queue one caller in vain than to refuse one that could have been served.
func (g *gate) predictLocked(p *permit, now time.Time) time.Duration {
	if p.lane != LaneRequest {
		return 0
	}
	capacity := g.conns
	if g.supply.state.OK {
		capacity = g.limit
	}
	ahead := g.queue[LaneProbe].n + g.queue[LaneRequest].n
	ahead += min(g.queue[LaneBackground].n, ahead/backgroundTurn)
	wait := g.pace.wait(now, ahead, min(capacity, g.limit))
	if wait == 0 {
		return 0
	}
	if p.ownDeadline { // the work itself must fit as well, not just the wait
		wait += g.pace.quick(now)
	}
	return wait
}

// freeLocked reports whether a connection is ready for one more holder.
func (g *gate) freeLocked() bool { return g.held < min(g.conns, g.limit) }

// admitsLocked reports whether lane l may have one more connection. Background
// work never holds more than half of the limit.
func (g *gate) admitsLocked(l Lane) bool {
	return l != LaneBackground || g.heldBy[l] < g.backgroundCapLocked()
}

func (g *gate) backgroundCapLocked() int { return max(1, g.limit/2) }

// dispatchLocked grants permits while connections and waiters last.
func (g *gate) dispatchLocked(now time.Time) {
	for g.freeLocked() {
		p := g.nextLocked()
		if p == nil {
			return
		}
		g.unqueueLocked(p)
		if g.tooLateLocked(p, now) {
			g.counts.shed++
			g.finishLocked(p, &refusal{wait: now.Sub(p.asked) + g.pace.quick(now)})
			continue
		}
		g.grantLocked(p, now)
		close(p.ready)
	}
}

// nextLocked is whose turn it is: probes, then requests in order of arrival,
// and after every backgroundTurn requests one background task.
func (g *gate) nextLocked() *permit {
	if p := g.queue[LaneProbe].first; p != nil {
		return p
	}
	request, background := g.queue[LaneRequest].first, g.queue[LaneBackground].first
	if background != nil && !g.admitsLocked(LaneBackground) {
		background = nil
	}
	if background != nil && (request == nil || g.turn >= backgroundTurn) {
		return background
	}
	return request
}

// tooLateLocked reports whether p's own deadline leaves no time for even a
// quick unit of work: serving it would waste a connection on an answer nobody waits for.
func (g *gate) tooLateLocked(p *permit, now time.Time) bool {
	return p.ownDeadline && p.lane == LaneRequest && now.Add(g.pace.quick(now)).After(p.deadline)
}

func (g *gate) grantLocked(p *permit, now time.Time) {
	waited := now.Sub(p.asked)
	if p.state == permitQueued {
		g.counts.waited++
		g.counts.waitDuration += waited
	}
	g.counts.acquired++
	g.counts.wait.observe(waited)
	p.state, p.granted, p.calling = permitHeld, now, true
	g.holders.push(p)
	g.held++
	g.heldBy[p.lane]++
	g.pace.changed(now, g.held)
	switch p.lane {
	case LaneBackground:
		g.turn = 0
	case LaneRequest:
		g.turn++
	}
	if g.held > g.poolSize {
		g.overflow = now
	}
	if p.scope != nil {
		p.scope.held.CompareAndSwap(nil, p)
	}
}

// unqueueLocked takes p out of its queue, wherever in it p stands.
func (g *gate) unqueueLocked(p *permit) {
	g.queue[p.lane].remove(p)
	g.waiting--
}

// finishLocked ends a queued permit without a connection.
func (g *gate) finishLocked(p *permit, err error) {
	p.state, p.err = permitDone, err
	g.counts.waitDuration += time.Since(p.asked)
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
	g.counts.waitDuration += now.Sub(p.asked)
	if timedOut {
		g.counts.timedOut++
	} else {
		g.counts.canceled++
	}
	return true
}

// bind notes that the call with p got a connection.
func (g *gate) bind(p *permit, c *conn) {
	p.conn.Store(c)
	g.mu.Lock()
	p.bound = true
	g.mu.Unlock()
}

// unbind notes that p's connection was given back. When the connection did not
// survive, lost says so in the same step, so that nobody is granted its place.
func (g *gate) unbind(p *permit, lost func(*gate)) (released bool) {
	now := time.Now()
	p.conn.Store(nil)
	g.mu.Lock()
	defer g.mu.Unlock()
	p.bound = false
	if lost != nil {
		lost(g)
	}
	released = g.settleLocked(p, now)
	g.wakeSeekerLocked()
	g.dispatchLocked(now)
	return released
}

// returned notes that the database/sql call with p is over.
func (g *gate) returned(p *permit) (released bool) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	p.calling = false
	if released = g.settleLocked(p, now); released {
		g.wakeSeekerLocked()
		g.dispatchLocked(now)
	}
	return released
}

// settleLocked gives the permit back once neither call nor connection needs it.
func (g *gate) settleLocked(p *permit, now time.Time) bool {
	if p.state != permitHeld || p.calling || p.bound {
		return false
	}
	p.state = permitDone
	g.holders.remove(p)
	g.held--
	g.heldBy[p.lane]--
	hold := now.Sub(p.granted)
	g.pace.changed(now, g.held)
	g.pace.record(now, hold)
	g.counts.holdDuration += hold
	g.counts.hold.observe(hold)
	if p.scope != nil {
		p.scope.held.CompareAndSwap(p, nil)
	}
	g.watchLocked()
	return true
}

// refuseAll ends the wait of everybody in the queue with err.
func (g *gate) refuseAll(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuseAllLocked(err)
}

func (g *gate) refuseAllLocked(err error) {
	for l := range g.queue {
		for p := g.queue[l].first; p != nil; p = g.queue[l].first {
			g.unqueueLocked(p)
			g.finishLocked(p, err)
		}
	}
}
