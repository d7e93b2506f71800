package fleet

import (
	"context"
	"errors"
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
	Wanted int // connections that callers held or waited for: the most at once since the last call
	Keep   int // sessions it would keep open without need, where nobody else needs them
	Max    int // the most connections the pool may have by its own settings
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
	moves    []move                // where they were before: restarts and failovers
	sessions map[*Session]struct{} // with a token each
	dials    map[*Permit]struct{}  // not yet entered or failed

	view      View // as last seen
	viewAt    time.Time
	plan      Plan  // as last computed
	usable    []int // by the last looks, newest first
	role      *View // of the replicas of this role, while there are others and its limit bounds these; else nil
	roleRoom  []int // what that limit left, by the last looks, newest first
	most      int   // demand that the role's limit lets this replica have; 0: any
	give      int   // sessions to close
	max       int   // sessions the pool may have by its own settings
	demand    int   // sessions this replica could use
	keep      int   // sessions it would have without need
	told      int   // of that, what the others were told last
	serial    uint32
	speaker   *Session // holds what was told last
	stale     map[uint32]staleMember
	size      int // the most members seen lately
	sizeAt    time.Time
	known     map[uint32]time.Time // members, and since when those lately gone are missed
	arrived   []time.Time          // when members were seen for the first time
	looks     int                  // begun
	lastLook  time.Time
	lastProbe time.Time
	woken     bool      // somebody waits: look early
	hush      time.Time // no early look before this: the last one was in vain
	alarm     bool      // another replica lacks something
	deaf      time.Time // no alarm is heeded before this: the last one was in vain
	raised    time.Time // when this replica raised the alarm last
	stuck     bool      // no session was at hand for a look

	blindAt  time.Time     // no dial without a token before this
	backoff  int           // how far such dials are apart; see backOff
	dialAt   time.Time     // no dial with a token before this
	failures int           // of sessions that had a token and did not get in, in a row
	rejoined time.Time     // when the first session entered
	waited   time.Duration // how long it had none before that
	lostAt   time.Time     // when it lost the last one; else, when it began
	expected int           // members before all sessions were lost
	crowded  time.Time     // when there were more replicas than tokens last
	noLocks  string        // why locks cannot be used here; empty when they can
	fixed    int           // the share while they cannot
	retryAt  time.Time     // when to try whether they can
	retries  int
	failing  bool      // the last look failed
	kept     bool      // the last look was refused a step
	seen     *Snapshot // by the last look that asked for everything
	seenAt   time.Time
	roles    roles     // of the fleet's sessions then
	owedAt   time.Time // when a token was given that another session still reserves; see Gone
}

// firstPause spreads the first dials of replicas that start together.
const firstPause = 100 * time.Millisecond

// New returns a fleet that does nothing until Run. Before that the pool may
// open one session, after a moment by chance.
func New(host Host, opts Options) *Fleet {
	opts = opts.withDefaults()
	f := &Fleet{
		opts: opts, keys: NewKeys(opts.KeySpace, opts.Service), host: host,
		news: make(chan struct{}, 1), rand: rand.New(rand.NewPCG(opts.Seed, 0)),
		sessions: map[*Session]struct{}{}, dials: map[*Permit]struct{}{},
	}
	f.lostAt = time.Now()
	f.wait(firstPause)
	return f
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
		// Both look at the clock: in this order, what becomes due between them is
		// in the share already, and not waited for.
		wait, do := f.next()
		f.host.SetShare(f.Share())
		if wait <= 0 && do != errandNone {
			f.run(ctx, do)
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

// lookTimeout bounds one look's statements on a slow server.
const lookTimeout = 5 * time.Second

// run does an errand on a session, as its next user.
func (f *Fleet) run(ctx context.Context, do errand) {
	f.mu.Lock()
	longest := f.interval()
	f.mu.Unlock()
	began, started := false, time.Now()
	waiting, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	err := f.host.Borrow(waiting, func(s *Session, l Locks) error {
		began = true
		looking, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		err := f.do(looking, do, s, l)
		if errors.Is(err, errKept) {
			return f.refusedStep(ctx, err)
		}
		return err
	})
	if began {
		f.looked(ctx, err)
		return
	}
	f.missed(time.Since(started) > longest/2)
}

func (f *Fleet) do(ctx context.Context, do errand, s *Session, l Locks) error {
	if do == errandProbe {
		return f.probe(ctx, s, l)
	}
	return f.poll(ctx, s, l)
}

// missed notes that no session was at hand. waited says that it stood in the
// queue for one, and may do so again at once.
func (f *Fleet) missed(waited bool) {
	load := f.host.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stuck = true
	f.assess(load)
	if !waited {
		f.lastLook, f.lastProbe = f.jitteredNow(), f.jitteredNow()
	}
}

// refusedStep notes that the server refused a step, such as a lock in a full lock
// table. That is no reason to close the session. The next look only looks.
func (f *Fleet) refusedStep(ctx context.Context, err error) error {
	f.mu.Lock()
	f.kept, f.speaker = true, nil
	f.mu.Unlock()
	f.report(ctx, err)
	return nil
}

// looked notes how an errand ended.
func (f *Fleet) looked(ctx context.Context, err error) {
	f.mu.Lock()
	f.stuck = false
	kept := f.kept
	f.woken = err != nil || f.woken // on another session, soon
	f.mu.Unlock()
	if err != nil || !kept {
		f.report(ctx, err)
	}
}

// report says when looks begin to fail, and when they no longer do.
func (f *Fleet) report(ctx context.Context, err error) {
	f.mu.Lock()
	news := f.failing != (err != nil)
	f.failing = err != nil
	f.mu.Unlock()
	switch {
	case !news || ctx.Err() != nil:
	case err != nil:
		f.opts.Log.Warn("fleet: cannot read replica state", "service", f.opts.Service, "err", err)
	default:
		f.opts.Log.Info("fleet: reading replica state again", "service", f.opts.Service)
	}
}

// jitteredNow keeps replicas that started together from looking together.
func (f *Fleet) jitteredNow() time.Time {
	return time.Now().Add(time.Duration((f.rand.Float64() - 0.5) * 0.4 * float64(f.interval())))
}
