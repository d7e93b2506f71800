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

var simSeeds = flag.Int("fleet.seeds", 2, "seeds per simulated scenario")

// world is a simulated fleet on a simulated server.
type world struct {
	*testing.T
	server *simServer
	rand   *rand.Rand
	max    int // connections per replica
	ctx    context.Context
	end    context.CancelFunc
	wg     sync.WaitGroup
	live   []*simReplica // the scenario's own

	mu  sync.Mutex // guards all
	all []*simReplica
}

// simReplica is a replica, its network and its clients.
type simReplica struct {
	*replica
	link   *link
	quit   context.CancelFunc
	joined time.Time
	hungry bool // its clients ask without a pause
}

// simulate runs a scenario in virtual time, once per seed, and checks all the
// while that the fleet keeps its promise to the server.
func simulate(t *testing.T, slots, max int, scenario func(w *world)) {
	simulateSeeds(t, *simSeeds, slots, max, scenario)
}

// simulateBig is for scenarios that take seconds of real time.
func simulateBig(t *testing.T, slots, max int, scenario func(w *world)) {
	simulateSeeds(t, (*simSeeds+1)/2, slots, max, scenario)
}

func simulateSeeds(t *testing.T, seeds, slots, max int, scenario func(w *world)) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed, slots, max)
				w.wg.Go(w.watch)
				scenario(w)
				w.finish()
			})
		})
	}
}

func newWorld(t *testing.T, seed uint64, slots, max int) *world {
	w := &world{T: t, max: max, rand: rand.New(rand.NewPCG(seed, 2))}
	w.server = newSimServer(NewKeys(DefaultKeySpace, "orders"), slots, rand.New(rand.NewPCG(seed, 1)))
	w.ctx, w.end = context.WithCancel(t.Context())
	return w
}

// join starts a replica with clients that ask, hold a connection for about
// hold, pause for about pause, and ask again.
func (w *world) join(clients int, hold, pause time.Duration) *simReplica {
	r := &simReplica{link: newLink(w.server), joined: time.Now(), hungry: pause == 0}
	r.replica = newReplica(r.link, w.max, Options{Service: "orders", Surge: 1, Seed: w.rand.Uint64()})
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
				if r.do(ctx, 5*time.Second, about(rnd, hold)) != nil {
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

// watch checks every 20 ms that no two sessions live by one token.
func (w *world) watch() {
	for w.ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
		owner := map[Token]uint32{}
		for pid, t := range w.tokens() {
			if other, taken := owner[t]; taken {
				w.Errorf("after %v: sessions %d and %d share token %d", w.age(), pid, other, t)
				return
			}
			owner[t] = pid
		}
	}
}

// tokens is the token of each session that lives by one, by process id, as far
// as the server agrees.
func (w *world) tokens() map[uint32]Token {
	believed := map[uint32]Token{}
	w.mu.Lock()
	all := slices.Clone(w.all)
	w.mu.Unlock()
	for _, r := range all {
		r.fleet.mu.Lock()
		for s := range r.fleet.sessions {
			believed[s.pid] = s.token
		}
		r.fleet.mu.Unlock()
	}
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	for pid, t := range believed {
		if session := w.server.sessions[pid]; session == nil || session.locks[w.server.key(kindToken, uint32(t))] == 0 {
			delete(believed, pid)
		}
	}
	return believed
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
