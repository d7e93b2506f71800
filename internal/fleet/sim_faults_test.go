package fleet

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestRestartOfTheServer(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		for range 8 {
			w.join(12, 50*time.Millisecond, 0)
		}
		time.Sleep(5 * time.Second)
		w.server.halt()
		time.Sleep(2 * time.Second)
		w.server.boot(0)
		back := w.until(10*time.Second, func() bool { return w.held() >= 15 && w.least() >= 1 })
		peak, _, _ := w.server.figures()
		w.Logf("all back after %v; most sessions at once %d", back, peak)
		time.Sleep(3 * time.Second)
		if w.least() < 2 {
			w.Errorf("a replica has %d sessions 3 s later", w.least())
		}
		w.report()
		time.Sleep(5 * time.Second)
		if r := w.report(); r.failed > 0 || jain(r.busy) < 0.95 {
			w.Errorf("not settled: %+v", r)
		}
		w.noRefusals()
	})
}

// until waits for something and says how long it took.
func (w *world) until(most time.Duration, done func() bool) time.Duration {
	w.Helper()
	began := time.Now()
	for !done() {
		if time.Since(began) > most {
			w.Errorf("not after %v; %d sessions, the least of a replica %d", most, w.held(), w.least())
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// least is the fewest sessions that a live replica has.
func (w *world) least() int {
	n := w.max
	for _, r := range w.live {
		n = min(n, r.sessions())
	}
	return n
}

func TestNoThunderingHerdAfterARestart(t *testing.T) {
	t.Parallel()
	simulateBig(t, 170, 8, func(w *world) {
		w.most.dials, w.most.looks = 100, 120 // all come back in the scenario's ten seconds, and each session without a token looks
		for range 100 {
			w.join(6, 100*time.Millisecond, 0)
		}
		time.Sleep(8 * time.Second)
		w.server.halt()
		time.Sleep(2 * time.Second)
		w.server.boot(0)
		booted := time.Now()
		back := w.until(15*time.Second, func() bool { return w.least() >= 1 })
		most := w.server.mostDials(booted, 100*time.Millisecond)
		w.Logf("all back after %v, at most %d dials within 100 ms", back, most)
		if most > 100/4 {
			w.Errorf("%d dials of 100 replicas within 100 ms", most)
		}
		w.noRefusals()
	})
}

// mostDials is the most that arrived within any window.
func (s *simServer) mostDials(since time.Time, window time.Duration) (most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, first := range s.tally.dials {
		n := 0
		for ; i+n < len(s.tally.dials) && s.tally.dials[i+n].Sub(first) < window; n++ {
		}
		if first.After(since) {
			most = max(most, n)
		}
	}
	return most
}

// One more than there is headroom for: replicas take turns, and nobody waits for
// 5 s. With many more some do, and are told why.
func TestMoreReplicasThanTokensTakeTurns(t *testing.T) {
	t.Parallel()
	for _, n := range []int{17, 18} {
		simulate(t, smallSlots, smallPool, func(w *world) {
			w.most.refused = map[int]int{17: 10, 18: 120}[n] // those without a token cannot be told in any other way
			for range n {
				w.join(3, 50*time.Millisecond, 0)
			}
			time.Sleep(10 * time.Second)
			w.report()
			time.Sleep(60 * time.Second)
			r := w.report()
			w.Logf("%d replicas: used %.1f connections, Jain %.3f, longest wait %v, %d of %d failed; 53300 %d times",
				n, total(r.busy)/60, jain(r.busy), r.wait, r.failed, r.served, w.server.refusals())
			if jain(r.busy) < 0.95 || r.failed > 0 || total(r.busy) < 60*15 {
				w.Errorf("uneven, slow or failed: %+v", r)
			}
		})
	}
}

func TestManyReplicasWithFaults(t *testing.T) {
	t.Parallel()
	for _, n := range sizes(50, 80, 200) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			simulateBig(t, n*8/5, 8, func(w *world) {
				w.most.dials = 30 // what is killed and terminated is replaced
				for range n {
					w.someone()
				}
				time.Sleep(10 * time.Second)
				for range 60 {
					w.mishap()
					time.Sleep(time.Duration(w.rand.Int64N(int64(time.Second))))
				}
				settled := w.until(10*time.Second, func() bool { return w.starving() == 0 })
				time.Sleep(22*time.Second - settled) // for the network to be whole, and idle tokens to be found
				peak, _, usable := w.server.figures()
				tokens := plan(usable, 1, true).Tokens
				w.Logf("%d replicas: nobody below its minimum after %v, %d sessions for %d tokens, most at once %d", len(w.live), settled, w.held(), tokens, peak)
				if w.held() < tokens*9/10 {
					w.Errorf("%d sessions for %d tokens", w.held(), tokens)
				}
				w.noRefusals()
			})
		})
	}
}

// someone joins: every third has little to do.
func (w *world) someone() {
	if w.rand.IntN(3) == 0 {
		w.join(1, 30*time.Millisecond, 500*time.Millisecond)
	} else {
		w.join(6, 200*time.Millisecond, 0)
	}
}

func (w *world) mishap() {
	switch w.rand.IntN(6) {
	case 0:
		w.kill(w.any())
	case 1:
		w.someone()
	case 2:
		r, d := w.any(), time.Duration(w.rand.Int64N(int64(20*time.Second)))
		w.wg.Go(func() { r.link.partition(d) })
	case 3:
		w.server.terminate(w.rand.IntN(10))
	case 4:
		w.server.discardAll(w.rand.IntN(2))
	case 5:
		w.server.visit(w.rand.IntN(10))
	}
}

// starving is how many busy replicas have less than their fair minimum, of those
// that can reach the server.
func (w *world) starving() (n int) {
	_, _, usable := w.server.figures()
	least := plan(usable, 1, true).Tokens / len(w.live)
	for _, r := range w.live {
		if r.hungry && !r.link.down() && r.sessions() < least {
			n++
		}
	}
	return n
}

// Replicas that have lost all their sessions at the same moment come back at the
// same moment. The others leave a token for each of them until then, and use
// the rest at once.
func TestReplicasThatLoseAllSessionsComeBackWithoutARefusal(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		for range 8 {
			w.join(12, 20*time.Millisecond, 0)
		}
		for range 10 {
			time.Sleep(4 * time.Second)
			for _, r := range w.live[:4] {
				for _, c := range r.link.all() {
					go w.server.finish(c.session)
				}
			}
			w.until(3*time.Second, func() bool { return w.held() >= 15 && w.least() >= 1 })
		}
		w.noRefusals()
	})
}

// Sessions that end here and there take reservations with them, of which their
// pools do not know yet.
func TestTerminatedSessionsAreReplacedWithoutARefusal(t *testing.T) {
	t.Parallel()
	simulateSeeds(t, 5*(*simSeeds), smallSlots, smallPool, func(w *world) {
		for range 8 {
			w.join(12, 20*time.Millisecond, 0)
		}
		time.Sleep(5 * time.Second)
		for range 5 {
			w.server.terminate(6)
			time.Sleep(300 * time.Millisecond)
		}
		w.until(3*time.Second, func() bool { return w.held() >= 15 && w.least() >= 1 })
		w.noRefusals()
	})
}

// On a loaded machine a session that has let go of its token may keep its slot
// for a while. Until then the token is of no use.
func TestSlotsThatLingerAreWaitedFor(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		w.server.exit = func() time.Duration { return 300 * time.Millisecond }
		for range 8 {
			w.join(12, 20*time.Millisecond, 0)
		}
		for range 5 {
			time.Sleep(5 * time.Second)
			for _, r := range w.live[:6] {
				if all := r.link.all(); len(all) > 1 {
					go w.server.finish(all[0].session)
				}
			}
			w.until(3*time.Second, func() bool { return w.held() >= 15 })
		}
		w.noRefusals()
	})
}

// demanding is a pool that wants more than it has.
type demanding struct{ Host }

func (demanding) Load() Load { return Load{Wanted: 10, Max: 10} }

// A pool may not know yet that the session is gone that had made a reservation.
// The first dial that relies on it finds out, and no other is made for it.
func TestLostReservationIsFoundOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newSimServer(smallSlots, rand.New(rand.NewPCG(1, 1)))
		network := newLink(server)
		f := New(demanding{}, Options{Service: "orders", Seed: 1})
		f.blindAt = time.Time{}
		enter := func() (*Session, *simConn) {
			p, ok := f.Permit()
			if !ok {
				return nil, nil
			}
			c, err := network.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s, err := f.Enter(t.Context(), p, c)
			if err != nil {
				t.Fatal(err)
			}
			return s, c.(*simConn)
		}
		first, c := enter()
		if err := f.poll(t.Context(), first, c); err != nil {
			t.Fatal(err)
		}
		reserved := len(f.spares())
		server.finish(c.session)
		entered := 0
		for s, _ := enter(); s != nil && entered < smallSlots; s, _ = enter() {
			entered++
		}
		if reserved == 0 || entered != reserved {
			t.Errorf("%d sessions were opened for %d reservations that were lost", entered, reserved)
		}
	})
}
