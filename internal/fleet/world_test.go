package fleet

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	simSeeds = flag.Int("fleet.seeds", usualSeeds, "seeds per simulated scenario")
	simBig   = flag.Bool("fleet.big", false, "simulate fleets of up to 1,000 replicas too, and real ones of up to 100: minutes")
)

// sizes are those of a fleet that take seconds to simulate, and with -fleet.big the
// larger ones too.
func sizes(small int, large ...int) []int { return also([]int{small}, large...) }

// also adds to what is usually tried what is tried with -fleet.big.
func also(usual []int, more ...int) []int {
	if *simBig {
		return append(usual, more...)
	}
	return usual
}

// world is a simulated fleet on a simulated server.
type world struct {
	*testing.T
	server   *simServer
	rand     *rand.Rand
	max      int // connections per replica
	most     bounds
	patience time.Duration // of callers
	began    time.Time
	ctx      context.Context
	end      context.CancelFunc
	wg       sync.WaitGroup
	live     []*simReplica // the scenario's own

	mu      sync.Mutex // guards all below
	all     []*simReplica
	starved time.Duration  // the longest that a replica with waiting callers had no session
	untold  time.Duration  // the longest that a session lived without a token
	over    map[string]int // the most sessions beyond its budget that each service had
}

// bounds are what a scenario may cost at most. They are checked at the end of each.
type bounds struct {
	refused int           // 53300
	starved time.Duration // see world
	untold  time.Duration
	over    int     // sessions of a service beyond its budget in plain numbers
	looks   float64 // looks and glances a second
	dials   float64 // a second, besides one for each replica
	cores   float64 // of the server, for looks, glances and probes
}

// usual is what no scenario needs to exceed without a reason.
var usual = bounds{starved: 5 * time.Second, untold: 200 * time.Millisecond, over: 1, looks: 110, dials: 8, cores: 0.2}

// simReplica is a replica, its network and its clients.
type simReplica struct {
	*replica
	link   *link
	quit   context.CancelFunc
	joined time.Time
	hungry bool // its clients ask without a pause
	budget int
	alone  time.Time // since when it has no session although callers wait
}

// simulate runs a scenario in virtual time, once per seed, and checks all the
// while that the fleet keeps its promise to the server.
func simulate(t *testing.T, slots, max int, scenario func(w *world)) {
	t.Helper()
	simulateSeeds(t, *simSeeds, slots, max, scenario)
}

// simulateBig is for scenarios that take seconds of real time.
func simulateBig(t *testing.T, slots, max int, scenario func(w *world)) {
	t.Helper()
	simulateSeeds(t, (*simSeeds+1)/2, slots, max, scenario)
}

func simulateSeeds(t *testing.T, seeds, slots, max int, scenario func(w *world)) {
	t.Helper()
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed, slots, max)
				w.wg.Go(w.watch)
				scenario(w)
				w.account()
				w.finish()
			})
		})
	}
}

func newWorld(t *testing.T, seed uint64, slots, max int) *world {
	w := &world{T: t, max: max, most: usual, patience: 5 * time.Second, began: time.Now(), rand: rand.New(rand.NewPCG(seed, 2)), over: map[string]int{}}
	w.server = newSimServer(slots, rand.New(rand.NewPCG(seed, 1)))
	w.ctx, w.end = context.WithCancel(t.Context())
	return w
}

// account checks what the scenario has cost.
func (w *world) account() {
	w.Helper()
	t, age := w.server.snapshotTally(), time.Since(w.began).Seconds()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := bounds{
		refused: t.refused, starved: w.starved, untold: w.untold,
		looks: float64(t.looks+t.glances) / age, dials: float64(len(t.dials)-len(w.all)) / age, cores: t.work.Seconds() / age,
	}
	for _, n := range w.over {
		got.over = max(got.over, n)
	}
	w.Logf("53300: %d; longest without a session %v; %.1f looks/s (%.1f full), %.1f probes/s, %.1f dials/s, %.4f cores",
		got.refused, got.starved, got.looks, float64(t.looks)/age, float64(t.probes)/age, got.dials, got.cores)
	m := w.most
	if got.refused > m.refused || got.starved > m.starved || got.untold > m.untold || got.over > m.over || got.looks > m.looks || got.dials > m.dials || got.cores > m.cores {
		w.Errorf("cost too much:\n%+v; allowed:\n%+v", got, m)
	}
}

// join starts a replica with clients that ask, hold a connection for about
// hold, pause for about pause, and ask again.
func (w *world) join(clients int, hold, pause time.Duration) *simReplica {
	return w.joinAs(newLink(w.server), Options{}, clients, hold, pause)
}

// joinAs is join for a replica with options or a network of its own.
func (w *world) joinAs(l *link, opts Options, clients int, hold, pause time.Duration) *simReplica {
	r := &simReplica{link: l, joined: time.Now(), hungry: pause == 0}
	if opts.Part.Absolute() {
		r.budget = opts.Part.Of(1 << 20)
	}
	opts.Service, opts.KeySpace, opts.Surge, opts.Seed = l.service, l.space, max(1, opts.Surge), w.rand.Uint64()
	r.replica = newReplica(l, w.max, opts)
	ctx, cancel := context.WithCancel(w.ctx)
	r.quit = cancel
	r.clients(ctx, w, clients, hold, pause)
	w.live = append(w.live, r)
	w.mu.Lock()
	w.all = append(w.all, r)
	w.mu.Unlock()
	return r
}

func (r *simReplica) clients(ctx context.Context, w *world, clients int, hold, pause time.Duration) {
	for range clients {
		rnd := rand.New(rand.NewPCG(w.rand.Uint64(), 0))
		w.wg.Go(func() {
			for ctx.Err() == nil {
				if r.do(ctx, w.patience, about(rnd, hold)) != nil {
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(about(rnd, pause))
			}
		})
	}
}

// about is d, give or take a half.
func about(rnd *rand.Rand, d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	return d/2 + time.Duration(rnd.Int64N(int64(d)))
}

// kill ends a replica as SIGKILL does: nothing is said to the server, the
// kernel closes the sockets.
func (w *world) kill(r *simReplica) {
	r.quit()
	r.stop()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.link.kill()
	w.live = slices.DeleteFunc(w.live, func(l *simReplica) bool { return l == r })
}

// any is a live replica by chance.
func (w *world) any() *simReplica { return w.live[w.rand.IntN(len(w.live))] }

func (w *world) finish() {
	w.end()
	for _, r := range w.all {
		r.quit()
	}
	w.wg.Wait()
	for _, r := range w.all {
		r.close()
	}
}

// watch checks every 20 ms that no two sessions live by one token, and notes what
// account checks.
func (w *world) watch() {
	for w.ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
		if !w.noTokenIsShared() {
			return
		}
		w.noteStarved()
		w.noteSessions()
	}
}

// resetOver forgets by how much budgets were exceeded so far.
func (w *world) resetOver() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = map[string]int{}
}

func (w *world) noteStarved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.all {
		r.mu.Lock()
		alone := !r.closed && r.total-r.dialing-r.closing == 0 && (r.hungry || r.wanted() > 0) // a caller that has given up asks again
		r.mu.Unlock()
		switch {
		case !alone || r.link.down():
			r.alone = time.Time{}
		case r.alone.IsZero():
			r.alone = time.Now()
		default:
			w.starved = max(w.starved, time.Since(r.alone))
		}
	}
}

// noteSessions counts each service's sessions, and how long those live that have no
// token.
func (w *world) noteSessions() {
	w.mu.Lock()
	defer w.mu.Unlock()
	budgets, fleets := map[string]int{}, map[string]bool{}
	for _, r := range w.all {
		budgets[r.link.service] = r.budget
		fleets[r.link.service] = true
	}
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	sessions := map[string]int{}
	for _, s := range w.server.sessions {
		switch sessions[s.service]++; {
		case s.hasToken() || s.link.down(): // nobody can be told through a link that is cut
			s.bare = time.Time{}
		case s.bare.IsZero():
			s.bare = time.Now()
		case !s.robbed && !s.leaving && fleets[s.service]:
			w.untold = max(w.untold, time.Since(s.bare))
		}
	}
	for service, n := range sessions {
		if b := budgets[service]; b > 0 {
			w.over[service] = max(w.over[service], n-b)
		}
	}
}

// simToken is a token of one of the services.
type simToken struct {
	service string
	token   Token
}

// noTokenIsShared reports whether each session that lives by a token, as far as the
// server agrees, has one of its own. Sessions on another server are not looked at.
func (w *world) noTokenIsShared() bool {
	w.mu.Lock()
	all := slices.Clone(w.all)
	w.mu.Unlock()
	owner, server := map[simToken]uint32{}, w.server.name()
	for _, r := range all {
		r.fleet.mu.Lock()
		for s := range r.fleet.sessions {
			if s.server != server || !w.server.holds(s.pid, simKey{r.fleet.keys.class(kindToken), uint32(s.token)}) {
				continue
			}
			t := simToken{r.link.service, s.token}
			if other, taken := owner[t]; taken {
				w.Errorf("after %v: sessions %d and %d share token %+v", w.age(), s.pid, other, t)
				r.fleet.mu.Unlock()
				return false
			}
			owner[t] = s.pid
		}
		r.fleet.mu.Unlock()
	}
	return true
}

func (w *world) age() time.Duration {
	return time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
}

// sessions is how many usable sessions a replica has.
func (r *replica) sessions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total - r.dialing - r.closing
}

// longestWait is the longest a caller waited since the last report.
func (r *replica) longestWait() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.maxWait
}

// report is what became of the requests since the last report.
type report struct {
	served, failed int
	busy           []float64 // connection time used, per live replica
	wait           time.Duration
}

func (w *world) report() report {
	var sum report
	for _, r := range w.live {
		r.mu.Lock()
		sum.served += r.served
		sum.failed += r.failed
		sum.wait = max(sum.wait, r.maxWait)
		sum.busy = append(sum.busy, r.held.Seconds())
		r.served, r.failed, r.maxWait, r.held = 0, 0, 0, 0
		r.mu.Unlock()
	}
	return sum
}

// jain is 1 when all have the same and 1/n when one has all.
func jain(x []float64) float64 {
	var sum, squares float64
	for _, v := range x {
		sum += v
		squares += v * v
	}
	return sum * sum / (float64(len(x)) * squares)
}

func total(x []float64) (sum float64) {
	for _, v := range x {
		sum += v
	}
	return sum
}

// noRefusals fails the test when the server answered 53300.
func (w *world) noRefusals() {
	w.Helper()
	if n := w.server.refusals(); n > 0 {
		w.Errorf("the server answered 53300 %d times", n)
	}
}
