package fleet

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// Options say which fleet a replica belongs to.
type Options struct {
	Service  string        // replicas of one service in one database share a budget
	KeySpace byte          // see Keys; 0 means DefaultKeySpace
	Part     config.Share  // the service's part of what the role may use
	Surge    int           // replicas a rolling deploy may add at once
	Replicas int           // replicas expected; 0 counts the live ones
	Interval time.Duration // between two looks when there is contention; 0 means 250ms
	Unread   time.Duration // how long a session's client may leave an answer unread before the server ends it; 0 leaves that to the system
	Log      *slog.Logger  // nil means slog.Default()
	Seed     uint64        // of jitter and of the replica's id; 0 takes a random one
}

func (o Options) withDefaults() Options {
	if o.KeySpace == 0 {
		o.KeySpace = DefaultKeySpace
	}
	if o.Interval == 0 {
		o.Interval = 250 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	return o
}

// Host is the pool as the fleet sees it. The fleet calls it without holding
// its own lock; the pool calls the fleet without holding a lock that these need.
type Host interface {
	// Load is what the pool is asked for.
	Load() Load
	// Borrow runs use on an open session between two uses, and closes the
	// session if use fails. ctx bounds the wait for one.
	Borrow(ctx context.Context, use func(*Session, Locks) error) error
	// SetShare bounds the sessions the pool may have, in any state: dialing and
	// closing count. Above it, idle ones are closed now and others when they
	// are given back.
	SetShare(n int)
}

// Load is what a pool is asked for.
type Load struct {
	Busy    int // connections held by callers: the most at once since the last call
	Waiting int // callers in the queue now
	Keep    int // sessions it would keep open without need, where nobody else needs them
	Max     int // the most connections the pool may have by its own settings
}

// Fleet keeps one replica within the budget of its service. Its methods may be
// called from several goroutines.
type Fleet struct {
	opts Options
	keys Keys
	host Host
	news chan struct{} // holds one: something changed

	mu       sync.Mutex // guards all below
	rand     *rand.Rand
	id       uint32                // this replica's, among members
	server   string                // where the tokens are; see Snapshot.Server
	left     []string              // where they were before, one per restart or failover
	sessions map[*Session]struct{} // with a token each
	dials    map[*Permit]struct{}  // not yet entered or failed

	view     View  // as last seen
	plan     Plan  // as last computed
	usable   []int // by the last looks, newest first
	give     int   // sessions to close
	max      int   // sessions the pool may have by its own settings
	demand   int   // sessions this replica could use
	keep     int   // sessions it would have without need
	told     int   // of that, what the others were told last
	serial   uint32
	speaker  *Session // holds what was told last
	stale    map[uint32]staleMember
	known    map[uint32]time.Time // members, and since when those lately gone are missed
	looks    int                  // begun
	lastLook time.Time
	woken    bool // somebody waits: look early
	stuck    bool // no session was at hand for a look

	blindAt  time.Time // no dial without a token before this
	refusals int       // of such dials, in a row
	rejoined time.Time // when the first session entered
	expected int       // members before all sessions were lost
	crowded  time.Time // when there were more replicas than tokens last
	noLocks  string    // why locks cannot be used here; empty when they can
	failing  bool      // the last look failed
	seen     *Snapshot
}

// New returns a fleet that does nothing until Run. Before that the pool may
// open one session.
func New(host Host, opts Options) *Fleet {
	opts = opts.withDefaults()
	return &Fleet{
		opts: opts, keys: NewKeys(opts.KeySpace, opts.Service), host: host,
		news: make(chan struct{}, 1), rand: rand.New(rand.NewPCG(opts.Seed, 0)),
		sessions: map[*Session]struct{}{}, dials: map[*Permit]struct{}{},
	}
}

// Keys is where the fleet's locks are.
func (f *Fleet) Keys() Keys { return f.keys }

// Wake says that a caller waits and the share allows no more sessions: look
// again soon.
func (f *Fleet) Wake() {
	f.mu.Lock()
	first := !f.woken
	f.woken = true
	f.mu.Unlock()
	if first {
		f.changed()
	}
}

func (f *Fleet) changed() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// Run looks at the fleet again and again and sets the pool's share, until ctx ends.
func (f *Fleet) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		f.host.SetShare(f.Share())
		wait, look := f.next()
		if wait <= 0 && look {
			f.look(ctx)
			continue
		}
		timer.Reset(max(wait, time.Millisecond))
		select {
		case <-ctx.Done():
		case <-f.news:
		case <-timer.C:
		}
	}
}

// next is when there is something to do, and whether that is a look.
func (f *Fleet) next() (wait time.Duration, look bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.noLocks != "" {
		return time.Hour, false
	}
	if len(f.sessions) == 0 {
		if wait := time.Until(f.blindAt); wait > 0 {
			return wait, false
		}
		return time.Minute, false // woken by what changes
	}
	pause := f.interval()
	switch {
	case f.woken && f.promising():
		pause /= 8
	case f.calm():
		pause = f.calmInterval()
	}
	return time.Until(f.lastLook.Add(pause)), true
}

// promising reports whether an early look may help: to say that there is more
// demand, to take what was free, or to have a look at all.
func (f *Fleet) promising() bool {
	return f.failing || f.demand < f.max || f.view.Free > 0 && f.demand > len(f.sessions)
}

// interval is the time between two looks under contention. It grows with the
// fleet, so that all looks together stay under a hundred a second.
func (f *Fleet) interval() time.Duration {
	return max(f.opts.Interval, time.Duration(len(f.view.Members))*10*time.Millisecond)
}

// calmInterval is the time between two looks while nobody lacks anything.
func (f *Fleet) calmInterval() time.Duration { return max(f.interval(), 4*f.opts.Interval) }

// calm reports whether nobody is short of anything, or gone for a moment.
func (f *Fleet) calm() bool {
	return f.give == 0 && f.absent() == 0 && f.lacking() <= 0 && f.view.Plenty() >= 0
}

// lookTimeout bounds one look's statements on a slow server.
const lookTimeout = 5 * time.Second

func (f *Fleet) look(ctx context.Context) {
	f.mu.Lock()
	f.woken = false
	longest := f.interval()
	f.mu.Unlock()
	began := false
	waiting, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	err := f.host.Borrow(waiting, func(s *Session, l Locks) error {
		began = true
		looking, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		return f.poll(looking, s, l)
	})
	f.looked(ctx, err, began)
}

// looked notes how a look ended and says so when that changed.
func (f *Fleet) looked(ctx context.Context, err error, began bool) {
	load := f.host.Load()
	f.mu.Lock()
	if f.stuck = !began; f.stuck {
		f.assess(load)
	}
	f.lastLook = f.jitteredNow()
	news := began && f.failing != (err != nil)
	if began {
		f.failing = err != nil
		f.woken = f.failing || f.woken // on another session, soon
	}
	f.mu.Unlock()
	switch {
	case !news || ctx.Err() != nil:
	case err != nil:
		f.opts.Log.Warn("fleet: no look at the other replicas", "service", f.opts.Service, "err", err)
	default:
		f.opts.Log.Info("fleet: looking at the other replicas again", "service", f.opts.Service)
	}
}

// jitteredNow keeps replicas that started together from looking together.
func (f *Fleet) jitteredNow() time.Time {
	return time.Now().Add(time.Duration((f.rand.Float64() - 0.5) * 0.4 * float64(f.interval())))
}
