package gate

import (
	"errors"
	"sync"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// Gate decides who may hold a connection. It hands out permits: never more
// than there are usable connections, and never more than the limit.
//
// It counts connections by what the server has, in four states whose sum never
// exceeds the limit: in use and idle (together conns), dialing, and closing
// (given up here, not yet ended there). The gate knows no driver and no
// network: who opens connections asks StartDials, and says what it lost.
//
// The lock's contract: mu guards every field below it. It is a leaf: nothing
// that locks, blocks, logs or runs user code is called under it, so it may be
// taken under database/sql's own locks. Methods that end in Locked expect it held.
type Gate struct {
	maxWaiters int           // in each lane: tasks that wait keep no request out
	linger     time.Duration // how long overflow stays open after its last use
	Demand     func()        // called, outside the lock, when connections may be wanted

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
	heldBy  [lanes]int
	holders permitList // oldest first

	warm     []*Slot // connections that nobody holds, the one used last at the end
	home     int     // connections idle in the *sql.DB that owns them
	fetching int     // holders who are about to take one from there
	claimed  int     // connections that housekeeping has for a moment

	queue    [lanes]permitList
	waiting  int    // in all queues
	nested   int    // of those, how many hold a connection already
	arrivals uint64 // callers that have asked
	turn     int    // requests served since background last had its turn
	expiry   expiry

	forecast forecast
	usage    usage
	kept     kept
	poolSize int       // connections beyond it are overflow
	minIdle  int       // connections opened ahead of need; never changes
	overflow time.Time // when more than poolSize were last in use
	closed   bool
	watchers []watcher

	open         map[*Slot]struct{} // the usable connections
	closingSlots map[*Slot]struct{}
	freed        []func() // to be called outside the lock; see slot.onFree
	dials        dials
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
	closedFor                                          Closed
	ended                                              Ended
}

// What a gate says to callers that get no connection.
var (
	ErrTimeout    = errors.New("pool: no connection in time")
	ErrOverloaded = errors.New("pool: overloaded")
	ErrClosed     = errors.New("pool: closed")
)

// Options are the settings of a gate.
type Options struct {
	PoolSize   int           // connections beyond it are overflow
	MinIdle    int           // connections opened ahead of need, within PoolSize
	MaxOpen    int           // the most connections, in any state
	MaxWaiters int           // the most callers that wait in one lane; 0 for no bound
	Linger     time.Duration // how long overflow stays open after its last use
	Demand     func()        // called, outside the lock, when connections may be wanted
}

// New returns a gate without any connection.
func New(o Options) *Gate {
	g := &Gate{
		maxWaiters:   o.MaxWaiters,
		Demand:       o.Demand,
		configured:   o.MaxOpen,
		limit:        o.MaxOpen,
		poolSize:     o.PoolSize,
		minIdle:      o.MinIdle,
		linger:       o.Linger,
		open:         make(map[*Slot]struct{}),
		closingSlots: make(map[*Slot]struct{}),
		dials:        dials{state: ServerState{OK: true, Since: time.Now()}, window: MaxDials},
	}
	g.expiry.timer = time.AfterFunc(time.Hour, g.expire)
	g.expiry.timer.Stop()
	g.dials.timer = time.AfterFunc(time.Hour, o.Demand)
	g.dials.timer.Stop()
	return g
}

// Enter asks for a connection.
func (g *Gate) Enter(p *Permit, now time.Time) Decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.state, p.Slot, p.again, p.Warned = permitNew, nil, false, false
	p.call, p.run, p.riders = nil, nil, 0
	p.offered, p.shared = nil, false
	g.arrivals++
	p.arrival = g.arrivals
	if p.Err = g.refusalLocked(p, now); p.Err != nil {
		p.state = permitDone
		if errors.Is(p.Err, ErrOverloaded) {
			g.counts.shed++
		}
		return Refused
	}
	if g.servableLocked(p.Lane) {
		g.grantLocked(p, now)
		return Granted
	}
	g.queueLocked(p)
	return Queued
}

// freeLocked reports whether a connection is ready for one more holder.
func (g *Gate) freeLocked() bool {
	return (len(g.warm) > 0 || g.home > g.fetching) && g.held < g.limit
}

// servableLocked reports whether a newcomer in lane l need not wait. Nobody can
// be ahead of it then: whoever waits in l while l has room is served at once.
func (g *Gate) servableLocked(l Lane) bool { return g.freeLocked() && g.admitsLocked(l) }

// refusalLocked says why p must not even queue; nil when it may.
func (g *Gate) refusalLocked(p *Permit, now time.Time) error {
	switch {
	case g.closed:
		return ErrClosed
	case g.barredLocked(now) != nil:
		return g.barredLocked(now)
	case p.Lane == Probe || g.servableLocked(p.Lane):
		return nil
	}
	wait := g.predictLocked(p.Lane, now)
	if g.maxWaiters > 0 && g.queue[p.Lane].n >= g.maxWaiters {
		return &Refusal{Wait: wait, Full: true}
	}
	if wait > 0 && g.missesDeadlineLocked(p, now, wait) {
		return &Refusal{Wait: wait, Work: g.workLocked(p, now, wait)}
	}
	return nil
}

// Refusal is ErrOverloaded and the prediction behind it.
type Refusal struct {
	Wait time.Duration
	Work time.Duration // what its work was taken to need after that
	Full bool          // MaxWaiters wait already
}

func (r *Refusal) Error() string { return ErrOverloaded.Error() }
func (r *Refusal) Unwrap() error { return ErrOverloaded }

// grantLocked lets p hold a connection from now on: the warm one used last, or
// one that the holder fetches from its owner (p.Slot is nil).
func (g *Gate) grantLocked(p *Permit, now time.Time) {
	if p.Internal {
		g.dials.internal++
	} else {
		g.countGrantLocked(p, now)
	}
	if !p.again {
		p.seq++
	}
	p.state, p.waited = permitHeld, now.Sub(p.Asked)
	p.Slot = g.takeLocked()
	g.holders.push(p)
	g.held++
	g.heldBy[p.Lane]++
	g.peak = max(g.peak, g.wantedLocked())
	g.usageLocked(now)
	g.turnLocked(p.Lane)
	if p.Lane == Request {
		g.forecast.granted(now)
	}
	if g.busyLocked() > g.poolSize {
		g.overflow = now
	}
	if p.Scope != nil {
		p.Scope.held.CompareAndSwap(nil, p)
	}
}

// busyLocked is how many connections callers hold.
func (g *Gate) busyLocked() int { return g.held - g.dials.internal }

// countGrantLocked counts an acquisition that got its connection, once.
func (g *Gate) countGrantLocked(p *Permit, now time.Time) {
	if p.again {
		return
	}
	waited := max(0, now.Sub(p.Asked))
	if p.state == permitQueued {
		g.counts.waited++
		g.counts.waitDuration += waited
	}
	g.counts.acquired++
	g.counts.wait.observe(waited)
}

// CountNested counts a caller that was refused because it holds a connection already.
func (g *Gate) CountNested() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.nested++
}

// Fate is what the caller of Release has to do outside the lock.
type Fate struct {
	Released bool // the permit came back just now: not before, by TakeAway
	Discard  bool // the connection is to be closed
}

// Release is the way back: it ends p's hold of its connection and lets the next
// in the queue have it. A connection that cannot be used again is given up in the
// same step (reason), so that nobody is promised its place.
func (g *Gate) Release(p *Permit, now time.Time, reason connstate.CloseReason) (f Fate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := p.Slot
	if p.state != permitHeld {
		return Fate{Discard: true}
	}
	if s != nil && reason == connstate.CloseUnknown {
		reason = g.unwantedLocked()
	}
	if s != nil && reason != connstate.CloseUnknown {
		g.lostLocked(s, reason)
	}
	f.Released = true
	g.settleLocked(p, now)
	if s == nil || s.state != slotOpen {
		f.Discard = true
	} else {
		g.putLocked(s, now)
	}
	g.dispatchLocked(now)
	p.WantsDial = g.waiting > 0 && g.roomLocked() > 0
	if !f.Discard && g.excessLocked(s) {
		g.lostLocked(s, connstate.CloseSurplus)
		f.Discard = true
	}
	return f
}

// unwantedLocked is why no connection that comes back may stay.
func (g *Gate) unwantedLocked() connstate.CloseReason {
	switch {
	case g.closed:
		return connstate.CloseShutdown
	case g.conns > g.limit:
		return connstate.CloseSurplus
	}
	return connstate.CloseUnknown
}

// excessLocked reports whether s, which nobody took, is beyond PoolSize where
// overflow does not linger.
func (g *Gate) excessLocked(s *Slot) bool {
	return g.linger == 0 && s.place == placeWarm && g.idleLocked() > g.keepLocked()
}

// keepLocked is how many idle connections may stay: PoolSize, and the one that
// is to be replaced while its replacement is already there.
func (g *Gate) keepLocked() int {
	if g.dials.replacement == replacementDialed {
		return g.poolSize + 1
	}
	return g.poolSize
}

// settleLocked takes the permit back.
func (g *Gate) settleLocked(p *Permit, now time.Time) {
	g.unholdLocked(p, now)
	p.state, p.Slot = permitDone, nil
	if p.Internal {
		g.dials.internal--
	} else {
		g.countReturnLocked(p, now)
	}
	if p.Scope != nil {
		p.Scope.held.CompareAndSwap(p, nil)
	}
	g.watchLocked()
}

// unholdLocked takes p out of the holders.
func (g *Gate) unholdLocked(p *Permit, now time.Time) {
	g.holders.remove(p)
	if g.busyLocked() > g.poolSize {
		g.overflow = now
	}
	g.held--
	g.heldBy[p.Lane]--
	g.usageLocked(now)
	g.endLoanLocked()
}

// countReturnLocked counts a connection that came back, and learns from it.
func (g *Gate) countReturnLocked(p *Permit, now time.Time) {
	hold := max(0, now.Sub(p.GrantedAt()))
	if p.Lane == Request {
		g.forecast.returned(now, hold)
		g.forecast.answered(p.riders)
	}
	g.counts.holdDuration += hold
	g.counts.hold.observe(hold)
}
