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
	linger     time.Duration // how long overflow stays open after its last use
	demand     func()        // called, outside the lock, when connections may be wanted
	cancels    atomic.Uint64

	mu         sync.Mutex
	configured int  // pool_size + max_overflow
	shared     bool // the pool belongs to a fleet
	share      int  // its part of the fleet's budget
	limit      int  // the most connections, in any state: the smaller of the two
	conns      int  // usable connections: in use or idle
	dialing    int
	closing    int

	held    int // permits handed out; InUse
	peak    int // the most wanted at once since load was asked last; see wantedLocked
	heldBy  [laneCount]int
	holders permitList // oldest first

	warm     []*slot // connections that nobody holds, the one used last at the end
	home     int     // connections idle in the *sql.DB that owns them
	fetching int     // holders who are about to take one from there
	claimed  int     // connections that housekeeping has for a moment

	queue    [laneCount]permitList
	waiting  int    // in all queues
	arrivals uint64 // callers that have asked
	turn     int    // requests served since background last had its turn
	expiry   expiry

	pace     pace
	usage    usage
	kept     kept
	poolSize int       // connections beyond it are overflow
	overflow time.Time // when more than poolSize were last in use
	closed   bool
	watchers []watcher

	open         map[*slot]struct{} // the usable connections
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
	shared, runs                                       uint64
	runLengths                                         RunLengths
	closedFor                                          ClosedStats
}

func newGate(cfg config.Config) *gate {
	g := &gate{
		maxWaiters:   cfg.MaxWaiters,
		demand:       func() {},
		configured:   cfg.MaxOpen(),
		limit:        cfg.MaxOpen(),
		poolSize:     cfg.PoolSize,
		linger:       cfg.OverflowLinger,
		open:         make(map[*slot]struct{}),
		closingSlots: make(map[*slot]struct{}),
		supply:       supply{state: ServerState{OK: true, Since: time.Now()}, window: maxDials},
	}
	g.expiry.timer = time.AfterFunc(time.Hour, g.expire)
	g.expiry.timer.Stop()
	return g
}

// enter asks for a connection.
func (g *gate) enter(p *permit, now time.Time) decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.state, p.slot, p.again, p.warned = permitNew, nil, false, false
	p.call, p.run, p.riders = nil, nil, 0
	g.arrivals++
	p.arrival = g.arrivals
	if p.err = g.refusalLocked(p, now); p.err != nil {
		p.state = permitDone
		if errors.Is(p.err, ErrOverloaded) {
			g.counts.shed++
		}
		return decidedRefused
	}
	if g.servableLocked(p.lane) {
		g.grantLocked(p, now)
		return decidedGranted
	}
	g.queueLocked(p)
	return decidedQueued
}

// freeLocked reports whether a connection is ready for one more holder.
func (g *gate) freeLocked() bool {
	return (len(g.warm) > 0 || g.home > g.fetching) && g.held < g.limit
}

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
		return &refusal{wait: wait, work: g.workLocked(p, now, wait)}
	}
	return nil
}

// refusal is the gate's half of an AcquireError: ErrOverloaded and the prediction.
type refusal struct {
	wait time.Duration
	work time.Duration // what its work was taken to need after that
	full bool          // maxWaiters wait already
}

func (r *refusal) Error() string { return ErrOverloaded.Error() }
func (r *refusal) Unwrap() error { return ErrOverloaded }

// grantLocked lets p hold a connection from now on: the warm one used last, or
// one that the holder fetches from its owner (p.slot is nil).
func (g *gate) grantLocked(p *permit, now time.Time) {
	if p.internal {
		g.supply.internal++
	} else {
		g.countGrantLocked(p, now)
	}
	if !p.again {
		p.seq++
	}
	p.state, p.waited = permitHeld, now.Sub(p.asked)
	p.slot = g.takeLocked()
	g.holders.push(p)
	g.held++
	g.heldBy[p.lane]++
	g.peak = max(g.peak, g.wantedLocked())
	g.usageLocked(now)
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
func (g *gate) busyLocked() int { return g.held - g.supply.internal }

// countGrantLocked counts an acquisition that got its connection, once.
func (g *gate) countGrantLocked(p *permit, now time.Time) {
	if p.again {
		return
	}
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

// fate is what the caller of release has to do outside the lock.
type fate struct {
	released bool // the permit came back just now: not before, by takeAway
	discard  bool // the connection is to be closed
}

// release is the way back: it ends p's hold of its connection and lets the next
// in the queue have it. A connection that cannot be used again is given up in the
// same step (reason), so that nobody is promised its place.
func (g *gate) release(p *permit, now time.Time, reason closeReason) (f fate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := p.slot
	if p.state != permitHeld {
		return fate{discard: true}
	}
	if s != nil && reason == closeUnknown {
		reason = g.unwantedLocked()
	}
	if s != nil && reason != closeUnknown {
		g.lostLocked(s, reason)
	}
	f.released = true
	g.settleLocked(p, now)
	if s == nil || s.state != slotOpen {
		f.discard = true
	} else {
		g.putLocked(s, now)
	}
	g.dispatchLocked(now)
	p.hungry = g.waiting > 0 && g.roomLocked() > 0
	if !f.discard && g.excessLocked(s) {
		g.lostLocked(s, closeSurplus)
		f.discard = true
	}
	return f
}

// unwantedLocked is why no connection that comes back may stay.
func (g *gate) unwantedLocked() closeReason {
	switch {
	case g.closed:
		return closeShutdown
	case g.conns > g.limit:
		return closeSurplus
	}
	return closeUnknown
}

// excessLocked reports whether s, which nobody took, is beyond PoolSize where
// overflow does not linger.
func (g *gate) excessLocked(s *slot) bool {
	return g.linger == 0 && s.place == placeWarm && g.idleLocked() > g.keepLocked()
}

// keepLocked is how many idle connections may stay: PoolSize, and the one that
// is to be replaced while its replacement is already there.
func (g *gate) keepLocked() int {
	if g.supply.successor == successorDialed {
		return g.poolSize + 1
	}
	return g.poolSize
}

// settleLocked takes the permit back.
func (g *gate) settleLocked(p *permit, now time.Time) {
	g.unholdLocked(p, now)
	p.state, p.slot = permitDone, nil
	if p.internal {
		g.supply.internal--
	} else {
		g.countReturnLocked(p, now)
	}
	if p.scope != nil {
		p.scope.held.CompareAndSwap(p, nil)
	}
	g.watchLocked()
}

// unholdLocked takes p out of the holders.
func (g *gate) unholdLocked(p *permit, now time.Time) {
	g.holders.remove(p)
	if g.busyLocked() > g.poolSize {
		g.overflow = now
	}
	g.held--
	g.heldBy[p.lane]--
	g.usageLocked(now)
	g.endLoanLocked()
}

// countReturnLocked counts a connection that came back, and learns from it.
func (g *gate) countReturnLocked(p *permit, now time.Time) {
	hold := max(0, now.Sub(p.grantedAt()))
	if p.lane == LaneRequest {
		g.pace.returned(now, hold)
		g.pace.answered(p.riders, hold)
	}
	g.counts.holdDuration += hold
	g.counts.hold.observe(hold)
}
