package fleet

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// another is a second server.
func (w *world) another(slots int) *simServer {
	s := newSimServer(slots, rand.New(rand.NewPCG(w.rand.Uint64(), 1)))
	s.starts = 99
	return s
}

// Connections go back and forth between two servers for a while.
func TestFailoverAndBack(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		other := w.another(smallSlots)
		w.most.dials = 20
		for range 4 {
			w.join(12, 20*time.Millisecond, 0)
		}
		for _, to := range []*simServer{other, w.server} {
			time.Sleep(5 * time.Second)
			from := w.live[0].link.move(to)
			for _, r := range w.live[1:] {
				r.link.move(to)
			}
			from.terminate(100)
			w.until(10*time.Second, func() bool { return w.held() >= 15 && w.least() >= 3 })
		}
		for _, r := range w.live {
			if s := r.fleet.Status(); s.NoLocks != "" {
				w.Errorf("%+v", s)
			}
		}
	})
}

// A role with a CONNECTION LIMIT of its own joins a fleet of another role, as while
// credentials are rotated.
func TestRoleWithALimitIsNotStarved(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		w.server.roleLimits["next"] = 6
		w.most.refused, w.most.starved = 30, 3*time.Second
		for range 4 {
			w.join(12, 20*time.Millisecond, 0)
		}
		time.Sleep(5 * time.Second)
		var next []*simReplica
		for range 2 {
			l := newLink(w.server)
			l.role = "next"
			next = append(next, w.joinAs(l, Options{}, 12, 20*time.Millisecond, 0))
		}
		w.until(4*time.Second, func() bool { return next[0].sessions() >= 2 && next[1].sessions() >= 2 })
		time.Sleep(5 * time.Second)
		if r := w.report(); r.failed > 0 {
			w.Errorf("%d requests failed", r.failed)
		}
	})
}

// While connections are spread over two servers each replica keeps to what it had,
// and the budget is shared again when they no longer are.
func TestFallbackIsBoundedAndEnds(t *testing.T) {
	t.Parallel()
	simulate(t, 40, smallPool, func(w *world) {
		other := w.another(40)
		w.most = bounds{refused: 1000, starved: time.Hour, untold: time.Hour, over: 0, looks: 110, dials: 50, cores: 1}
		for range 8 {
			w.join(12, 20*time.Millisecond, 0)
		}
		time.Sleep(5 * time.Second)
		for i := range 60 { // round robin
			for n, r := range w.live {
				r.link.move([]*simServer{w.server, other}[(i+n)%2])
			}
			w.server.terminate(2)
			other.terminate(2)
			time.Sleep(500 * time.Millisecond)
		}
		outside := 0
		for _, r := range w.live {
			if s := r.fleet.Status(); s.NoLocks != "" {
				outside++
				if s.Share > 37/8 {
					w.Errorf("%+v", s)
				}
			}
		}
		if outside < 5 {
			w.Errorf("%d of 8 replicas noticed that there are several servers", outside)
		}
		for _, r := range w.live {
			r.link.move(w.server)
		}
		other.terminate(100)
		w.until(6*time.Minute, func() bool {
			for _, r := range w.live {
				if r.fleet.Status().NoLocks != "" {
					return false
				}
			}
			return w.held() >= 35 && w.least() >= 3
		})
	})
}

// Credentials are rotated: replicas of a role without a limit go one by one while those of a
// role with one are there. All plan with the server's budget, whatever their role allows;
// else those of the limited role take tokens for over that are in use, and leave others unused.
func TestReplicasOfTwoRolesPlanAlike(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		w.server.roleLimits["next"] = 6
		w.most.refused, w.most.starved = 12, 3*time.Second
		for range 5 {
			w.join(12, 20*time.Millisecond, 0)
		}
		time.Sleep(5 * time.Second)
		for range 3 {
			l := newLink(w.server)
			l.role = "next"
			w.joinAs(l, Options{}, 12, 20*time.Millisecond, 0)
		}
		w.until(5*time.Second, func() bool { return w.least() >= 1 })
		time.Sleep(3 * time.Second)
		w.wg.Go(w.comparePlans)
		for range 4 {
			w.kill(w.live[0])
			w.until(4*time.Second, func() bool { return w.held() >= min(15, 10*(len(w.live)-3)+5) })
			time.Sleep(3 * time.Second)
		}
		if r := w.report(); r.failed > 0 {
			w.Errorf("%d requests failed", r.failed)
		}
	})
}

// comparePlans fails the test when a replica with a session plans with another number of
// tokens than the server has.
func (w *world) comparePlans() {
	tokens := plan(w.server.limit, 1, true).Tokens
	for w.ctx.Err() == nil {
		time.Sleep(50 * time.Millisecond)
		w.mu.Lock()
		for _, r := range w.all {
			r.fleet.mu.Lock()
			if n := r.fleet.plan.Tokens; len(r.fleet.sessions) > 0 && n != tokens {
				w.Errorf("after %v: a replica of %s plans with %d tokens of %d", w.age(), r.link.role, n, tokens)
			}
			r.fleet.mu.Unlock()
		}
		w.mu.Unlock()
	}
}

// Each of two roles has a limit, and the server more than both: each is used up, shared
// evenly among the replicas of the role, and one that joins gets its part.
func TestTwoRolesWithLimits(t *testing.T) {
	t.Parallel()
	simulate(t, 60, smallPool, func(w *world) {
		w.server.roleLimits = map[string]int{"app": 9, "next": 6}
		w.most.refused, w.most.starved = 30, 3*time.Second
		as := func(role string) *simReplica {
			l := newLink(w.server)
			l.role = role
			return w.joinAs(l, Options{}, 12, 20*time.Millisecond, 0)
		}
		for range 2 {
			as("app")
			as("next")
			time.Sleep(time.Second)
		}
		w.until(5*time.Second, func() bool { return w.held() >= 12 && w.least() >= 2 })
		late := as("next")
		w.until(5*time.Second, func() bool { return late.sessions() >= 1 })
		time.Sleep(10 * time.Second)
		w.report()
		time.Sleep(20 * time.Second)
		r := w.report()
		w.Logf("connections used: %.1f; longest wait %v", total(r.busy)/20, r.wait)
		if total(r.busy) < 12*20 || r.failed > 0 {
			w.Errorf("%+v", r)
		}
	})
}

// Two services with budgets and key spaces of their own on one server: neither takes
// from the other, and what happens to one is not felt by the other.
func TestTwoServicesOnOneServer(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		as := func(service string, space byte, budget config.Share) {
			l := newLink(w.server)
			l.service, l.space = service, space
			w.joinAs(l, Options{Part: budget}, 12, 20*time.Millisecond, 0)
		}
		w.most.dials = 12 // what is killed is replaced
		both := func() {
			as("orders", DefaultKeySpace, "10")
			as("billing", 0x17, "6")
		}
		for range 3 {
			both()
			time.Sleep(500 * time.Millisecond)
		}
		for range 4 {
			w.until(4*time.Second, func() bool { return w.heldBy("orders") >= 9 && w.heldBy("billing") >= 5 && w.least() >= 1 })
			time.Sleep(5 * time.Second)
			w.kill(w.live[0])
			w.kill(w.live[0])
			time.Sleep(2 * time.Second)
			both()
		}
		if r := w.report(); r.failed > 0 {
			w.Errorf("%d requests failed", r.failed)
		}
		w.noRefusals()
	})
}

// heldBy is how many usable sessions a service has.
func (w *world) heldBy(service string) (n int) {
	for _, r := range w.live {
		if r.link.service == service {
			n += r.sessions()
		}
	}
	return n
}

// Statements of the fleet's requests are canceled, or take longer than a replica waits, with
// half of a request done: the session is closed and another looks.
func TestRequestsThatTimeOut(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		stalled := lookTimeout + 2*time.Second
		w.most.refused, w.most.untold, w.most.starved = 2, stalled, stalled+usual.starved
		for range 8 {
			w.join(12, 50*time.Millisecond, 0)
		}
		time.Sleep(5 * time.Second)
		w.server.set(func(s *simServer) { s.faults = 150 })
		w.report()
		time.Sleep(time.Minute)
		r := w.report()
		w.Logf("used %.1f connections, %d of %d failed, longest wait %v", total(r.busy)/60, r.failed, r.served, r.wait)
		if total(r.busy) < 60*12 || r.failed > r.served/100 {
			w.Errorf("%+v", r)
		}
		w.server.set(func(s *simServer) { s.faults = 0 })
		w.until(15*time.Second, func() bool { return w.held() >= 16 && w.least() >= 2 })
	})
}

// set changes what the server does.
func (s *simServer) set(change func(*simServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}
