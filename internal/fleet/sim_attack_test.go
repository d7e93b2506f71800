package fleet

import (
	"fmt"
	"testing"
	"time"
)

// Statements that take longer than a look, and tokens that do not divide evenly:
// nothing happens to anybody, so nobody dials in vain.
func TestSteadyLongStatements(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		slots, replicas int
		hold            time.Duration
		callers         int
		declared        int
		refused         int // by replicas below their part, which cannot know of a free slot while all their sessions are busy
	}{
		{13, 8, 1500 * time.Millisecond, 12, 0, 2}, {17, 7, 1500 * time.Millisecond, 12, 0, 2},
		{17, 8, 400 * time.Millisecond, 12, 0, 2}, {13, 8, 400 * time.Millisecond, 12, 0, 2}, {17, 8, 30 * time.Second, 4, 8, 20},
	} {
		t.Run(fmt.Sprintf("%d on %d, %v", c.replicas, c.slots, c.hold), func(t *testing.T) {
			simulate(t, c.slots, smallPool, func(w *world) {
				w.patience, w.most.refused = 2*time.Minute, 6 // those who join a full server
				for range c.replicas {
					w.joinAs(newLink(w.server), Options{Replicas: c.declared}, c.callers, c.hold, 0)
					time.Sleep(time.Second)
				}
				time.Sleep(3 * time.Second)
				w.most.refused = w.server.refusals() + c.refused
				time.Sleep(2 * time.Minute)
				if least := min(c.slots-1, 16) / c.replicas; w.least() < least {
					w.Errorf("a replica has %d sessions; its part is %d", w.least(), least)
				}
				if r := w.report(); r.failed > 0 {
					w.Errorf("%d requests failed", r.failed)
				}
			})
		})
	}
}

// As many replicas again at the same moment, and then the old ones go. The server
// can only refuse those who come while it is full; they come back at growing
// intervals, and the others make room for a crowd.
func TestBlueGreen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hold    time.Duration
		within  time.Duration
		refused int
	}{{20 * time.Millisecond, 5 * time.Second, 40}, {2 * time.Second, 9 * time.Second, 60}} {
		t.Run(c.hold.String(), func(t *testing.T) {
			simulate(t, smallSlots, smallPool, func(w *world) {
				w.patience, w.most.refused, w.most.starved = 30*time.Second, c.refused, c.within
				for range 8 {
					w.join(12, c.hold, 0)
				}
				time.Sleep(10 * time.Second)
				settled := w.server.refusals()
				for range 8 {
					w.join(12, c.hold, 0)
				}
				in := w.until(c.within, func() bool { return w.least() >= 1 })
				w.Logf("the last of the new replicas had a session after %v; 53300: %d at the start, %d for the new ones", in, settled, w.server.refusals()-settled)
				for range 8 {
					w.kill(w.live[0])
				}
				time.Sleep(8 * time.Second)
				if w.least() < 2 {
					w.Errorf("a replica has %d sessions 8 s after the others have gone", w.least())
				}
				if r := w.report(); r.failed > 0 {
					w.Errorf("%d requests failed", r.failed)
				}
			})
		})
	}
}

// Many more replicas than tokens: how often all of them together dial does not
// grow with their number.
func TestReplicasWithoutATokenDialSeldom(t *testing.T) {
	t.Parallel()
	for _, n := range sizes(100, 300, 1000) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			simulateBig(t, 10, 4, func(w *world) {
				w.most = bounds{refused: 1 << 30, starved: time.Hour, untold: time.Second, looks: 110, dials: 1 << 20, cores: 0.2}
				for range n {
					w.join(1, 50*time.Millisecond, 0)
				}
				time.Sleep(2 * time.Minute)
				before := len(w.server.snapshotTally().dials)
				time.Sleep(time.Minute)
				rate := float64(len(w.server.snapshotTally().dials)-before) / 60
				w.Logf("%d replicas on 10 slots: %.1f dials/s", n, rate)
				if rate > 60 {
					w.Errorf("%.1f dials a second", rate)
				}
			})
		})
	}
}

// A budget much smaller than the server, and more replicas than it has tokens:
// those without one hold a session no longer than it takes to be told so.
func TestSmallBudgetOnALargeServer(t *testing.T) {
	t.Parallel()
	for _, n := range also([]int{8, 30}, 60) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			simulate(t, 100, smallPool, func(w *world) {
				w.most = bounds{starved: time.Hour, untold: 200 * time.Millisecond, over: 6, looks: 110, dials: 40, cores: 0.2}
				for range n {
					w.joinAs(newLink(w.server), Options{Part: "4"}, 1, 50*time.Millisecond, 0)
				}
				time.Sleep(20 * time.Second)
				w.resetOver()
				w.most.over = 3
				time.Sleep(40 * time.Second)
			})
		})
	}
}

// Twice as many replicas as tokens: they take turns by chance, not in a queue, but who has had
// one steps back for those who wait. All get about the same; few wait longer than a caller does.
func TestTwiceAsManyReplicasAsTokens(t *testing.T) {
	t.Parallel()
	simulate(t, 100, smallPool, func(w *world) {
		w.most = bounds{starved: 25 * time.Second, untold: 200 * time.Millisecond, over: 6, looks: 110, dials: 5, cores: 0.2}
		for range 8 {
			w.joinAs(newLink(w.server), Options{Part: "4"}, 1, 50*time.Millisecond, 0)
		}
		time.Sleep(2 * time.Minute)
		r := w.report()
		w.Logf("%d served, %d failed, Jain %.3f", r.served, r.failed, jain(r.busy))
		if r.failed > r.served/350 || jain(r.busy) < 0.94 {
			w.Errorf("%+v", r)
		}
	})
}

// How often a replica looks does not depend on how many callers it has.
func TestLooksByNumberOfCallers(t *testing.T) {
	t.Parallel()
	for _, callers := range also([]int{1, 5, 12}, 2, 9, 10) {
		t.Run(fmt.Sprint(callers), func(t *testing.T) {
			simulate(t, smallSlots, smallPool, func(w *world) {
				w.most.dials = 2
				for range 8 {
					w.join(callers, 20*time.Millisecond, 0)
				}
				time.Sleep(6 * time.Second)
				before := w.server.snapshotTally()
				w.report()
				time.Sleep(20 * time.Second)
				after, r := w.server.snapshotTally(), w.report()
				looks := float64(after.looks+after.glances-before.looks-before.glances) / 20
				w.Logf("8 replicas of %d callers: %.1f looks/s, %.1f dials/s, served %d, longest wait %v", callers, looks, float64(len(after.dials)-len(before.dials))/20, r.served, r.wait)
				if looks > 17 || len(after.dials)-len(before.dials) > 40 {
					w.Errorf("%.1f looks and %d dials in 20 s", looks, len(after.dials)-len(before.dials))
				}
			})
		})
	}
}

// One replica has nearly all in long statements. Replicas that are expected find
// room all the same.
func TestExpectedReplicasFindRoom(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, 16, func(w *world) {
		w.patience, w.most.starved = time.Minute, 4*time.Second
		w.joinAs(newLink(w.server), Options{Replicas: 8}, 20, 30*time.Second, 0)
		time.Sleep(10 * time.Second)
		w.Logf("alone: %d sessions", w.held())
		if w.held() < 8 {
			w.Errorf("%d sessions", w.held())
		}
		for range 7 {
			w.joinAs(newLink(w.server), Options{Replicas: 8}, 3, 50*time.Millisecond, 0)
		}
		w.until(4*time.Second, func() bool { return w.least() >= 1 })
		if r := w.report(); r.failed > 0 {
			w.Errorf("%d requests failed", r.failed)
		}
	})
}

// DB_FLEET_SURGE is the number of slots that are kept free for a deploy.
func TestSurgeJoinsWithoutARefusal(t *testing.T) {
	t.Parallel()
	simulate(t, 40, smallPool, func(w *world) {
		surge := Options{Surge: 8}
		for range 8 {
			w.joinAs(newLink(w.server), surge, 12, 20*time.Millisecond, 0)
		}
		time.Sleep(10 * time.Second)
		for range 8 {
			w.joinAs(newLink(w.server), surge, 12, 20*time.Millisecond, 0)
		}
		w.until(2*time.Second, func() bool { return w.least() >= 1 })
	})
}

// A full lock table costs no session that has its token.
func TestFullLockTable(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		w.most.dials = 3
		for range 8 {
			w.join(12, 50*time.Millisecond, 0)
		}
		time.Sleep(5 * time.Second)
		held := w.held()
		w.server.mu.Lock()
		w.server.lockLimit = w.server.allLocks()
		w.server.mu.Unlock()
		w.report()
		time.Sleep(20 * time.Second)
		if r := w.report(); r.failed > 0 || total(r.busy) < 0.95*20*float64(held) {
			w.Errorf("%d failed, used %.1f of %d connections", r.failed, total(r.busy)/20, held)
		}
		w.server.mu.Lock()
		w.server.lockLimit = 0
		w.server.mu.Unlock()
		w.kill(w.any())
		w.until(4*time.Second, func() bool { return w.held() >= 16 })
	})
}

// A neighbour takes whatever it can get. A budget in plain numbers is a floor.
func TestGreedyNeighbour(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		w.most.refused = 1 << 20 // the neighbour's
		w.most.dials = 1 << 20
		for range 3 {
			w.joinAs(newLink(w.server), Options{Part: "10"}, 12, 50*time.Millisecond, 0)
		}
		time.Sleep(5 * time.Second)
		neighbour := newLink(w.server)
		neighbour.service, neighbour.role = "reports", "python"
		var theirs []conn
		for range 600 { // once every 50 ms, for ever
			if c, err := neighbour.Dial(w.ctx); err == nil {
				theirs = append(theirs, c)
			}
			time.Sleep(50 * time.Millisecond)
		}
		w.Logf("the neighbour has %d sessions, the fleet %d", len(theirs), w.held())
		if w.held() < 8 {
			w.Errorf("%d sessions are left of a budget of 10", w.held())
		}
		if r := w.report(); r.failed > 0 {
			w.Errorf("%d requests failed", r.failed)
		}
		for _, c := range theirs {
			c.Close()
		}
	})
}

// Replicas whose process stops and goes on, in the middle of everything.
func TestPausedProcesses(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		for range 8 {
			w.join(12, 20*time.Millisecond, 0)
		}
		time.Sleep(3 * time.Second)
		for range 10 {
			r := w.any()
			w.wg.Go(func() { r.link.pause(8 * time.Second) })
			time.Sleep(2 * time.Second)
		}
		time.Sleep(10 * time.Second)
		w.until(5*time.Second, func() bool { return w.held() >= 15 && w.least() >= 1 })
	})
}

// Calm replicas cost the server next to nothing, and each of many no more than each of few.
func TestCostOfACalmFleet(t *testing.T) {
	t.Parallel()
	for _, n := range sizes(100, 300, 1000) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			simulateBig(t, 3*n+20, 4, func(w *world) {
				w.most = bounds{starved: 5 * time.Second, untold: time.Second, looks: 1000, dials: float64(n), cores: 2}
				for range n {
					w.join(1, 5*time.Millisecond, 500*time.Millisecond)
				}
				time.Sleep(30 * time.Second)
				before := w.server.snapshotTally()
				time.Sleep(30 * time.Second)
				cores := (w.server.snapshotTally().work - before.work).Seconds() / 30
				w.Logf("%d calm replicas: %.4f cores, %.6f each", n, cores, cores/float64(n))
				if cores > 0.05*max(1, float64(n)/100) {
					w.Errorf("%.4f cores", cores)
				}
			})
		})
	}
}

// Replicas that could all use more than their part.
func TestCostOfABusyFleet(t *testing.T) {
	t.Parallel()
	for _, n := range sizes(30, 50, 100, 300) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			simulateBig(t, 3*n+20, 4, func(w *world) {
				w.most = bounds{starved: 5 * time.Second, untold: time.Second, looks: 1000, dials: float64(n), cores: 2}
				for range n {
					w.join(6, 100*time.Millisecond, 0)
				}
				time.Sleep(30 * time.Second)
				before := w.server.snapshotTally()
				time.Sleep(30 * time.Second)
				after := w.server.snapshotTally()
				cores := (after.work - before.work).Seconds() / 30
				w.Logf("%d busy replicas: %.4f cores, %.6f each, %.1f dials/s", n, cores, cores/float64(n), float64(len(after.dials)-len(before.dials))/30)
				if cores > 0.2*max(1, float64(n)/100) {
					w.Errorf("%.4f cores", cores)
				}
			})
		})
	}
}

// Many replicas start together on a server that takes long to begin a session. It is
// not asked for so many that all give up before theirs is begun, and once each has its part
// hardly anything is opened any more.
func TestManyStartOnASlowServer(t *testing.T) {
	t.Parallel()
	for _, n := range sizes(30, 100) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			simulateBig(t, n*3/2, smallPool, func(w *world) {
				w.server.set(func(s *simServer) { s.fork = 5 * time.Second / time.Duration(n) })
				w.most = bounds{refused: 0, starved: 25 * time.Second, untold: 10 * time.Second, looks: 150, dials: 10, cores: 0.2}
				for range n {
					w.join(4, 100*time.Millisecond, 0)
				}
				w.until(20*time.Second, func() bool { return w.least() >= 1 && w.held() >= n*5/4 })
				time.Sleep(30 * time.Second)
				before := len(w.server.snapshotTally().dials)
				w.report()
				time.Sleep(20 * time.Second)
				r := w.report()
				rate := float64(len(w.server.snapshotTally().dials)-before) / 20
				w.Logf("%d replicas: %.1f dials/s, used %.1f connections", n, rate, total(r.busy)/20)
				if rate > 3 || r.failed > 0 || total(r.busy) < 20*float64(n)*5/4 {
					w.Errorf("%.1f dials/s, %d of %d failed, used %.1f connections", rate, r.failed, r.served, total(r.busy)/20)
				}
			})
		})
	}
}
