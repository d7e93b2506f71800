package monitor

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/internal/flap"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// tick lets one check pass.
func tick() {
	time.Sleep(checkInterval)
	synctest.Wait()
}

func TestEventsOfThePool(t *testing.T) {
	leak := pool.Holder{Caller: "api/report.go:88", Name: "GET /report", Held: time.Minute, Activity: "idle in transaction", Leaking: true}
	for _, tc := range []struct {
		name  string
		steps []func(*pool.Stats) // one a check
		want  []statusjson.EventKind
		says  string // of the first
	}{
		{"leak and all-clear", []func(*pool.Stats){
			func(s *pool.Stats) { s.Leaking, s.LeakWarningCount = 1, 1 }, func(*pool.Stats) {},
			func(s *pool.Stats) { s.Leaking = 0 },
		}, []statusjson.EventKind{statusjson.EventLeak, statusjson.EventLeakCleared}, "1 connection is held for too long; the longest for 1m0s by api/report.go:88 (GET /report), idle in transaction"},
		{"server full and room again", []func(*pool.Stats){
			func(s *pool.Stats) { s.Server = pool.ServerState{Reason: "role limit"} }, func(*pool.Stats) {},
			func(s *pool.Stats) { s.Server = pool.ServerState{OK: true} },
		}, []statusjson.EventKind{statusjson.EventServerFull, statusjson.EventServerGrants}, "no room for new connections (role limit); 2 connections are open"},
		{"server away", []func(*pool.Stats){func(s *pool.Stats) { s.Server = pool.ServerState{Reason: "unreachable"} }}, []statusjson.EventKind{statusjson.EventServerRefuses}, "unreachable"},
		{"timeouts", []func(*pool.Stats){func(s *pool.Stats) { s.TimeoutCount, s.Waiting = 4, 7 }}, []statusjson.EventKind{statusjson.EventTimeouts}, "7 waiting"},
		{"shedding", []func(*pool.Stats){func(s *pool.Stats) { s.ShedCount = 9 }, func(s *pool.Stats) { s.ShedCount = 20 }}, []statusjson.EventKind{statusjson.EventShedding}, "refused at once"},
		{"ended, one burst", []func(*pool.Stats){func(s *pool.Stats) { s.Ended.Terminated = 3 }, func(s *pool.Stats) { s.Ended.Terminated = 10 }, func(*pool.Stats) {}, func(*pool.Stats) {}, func(*pool.Stats) {}}, []statusjson.EventKind{statusjson.EventBroken}, "10 connections were ended by an administrator or by a shutdown of the server (57P01): look in the server's log for a shutdown"},
		{"a storm of recycling", []func(*pool.Stats){func(s *pool.Stats) { s.Closed.Recycled = 2 }, func(s *pool.Stats) { s.Closed.Recycled = 5 }}, []statusjson.EventKind{statusjson.EventRecycled}, "5 connections were replaced within 10s"},
		{"a trickle of recycling", []func(*pool.Stats){func(s *pool.Stats) { s.Closed.Recycled = 2 }, func(s *pool.Stats) { s.Closed.Recycled = 4 }}, nil, ""},
		{"resized", []func(*pool.Stats){func(s *pool.Stats) { s.PoolSize, s.MaxOverflow, s.Limit = 3, 3, 6 }}, []statusjson.EventKind{statusjson.EventResized}, "resized from 5 + 5 to 3 + 3"},
		{"limited", []func(*pool.Stats){func(s *pool.Stats) { s.Limit = 4 }}, []statusjson.EventKind{statusjson.EventResized}, "from 10 to 4 of 10"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r running) {
				r.src.Hold(leak)
				for _, step := range tc.steps {
					r.src.Set(step)
					tick()
				}
				wantKinds(t, r.Monitor, tc.want...)
				events := r.Status().Events
				if first := len(events) - 2; first >= 0 && !strings.Contains(events[first].Message, tc.says) {
					t.Errorf("%q does not say %q", events[first].Message, tc.says)
				}
			})
		})
	}
}

func TestPressureIsOverAfterHalfAMinuteOfQuiet(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		for range 5 {
			r.src.Set(func(s *pool.Stats) { s.TimeoutCount += 2; s.ShedCount++ })
			tick()
		}
		if h := r.HealthReport(); h.Status != statusjson.Degraded || h.Problems[0].Code != statusjson.ProblemTurningAway {
			t.Errorf("%+v", h)
		}
		r.src.Set(func(s *pool.Stats) { s.AcquireCount++ })
		time.Sleep(quietAfter - time.Second)
		synctest.Wait()
		wantKinds(t, r.Monitor, statusjson.EventTimeouts)
		tick()
		wantKinds(t, r.Monitor, statusjson.EventTimeouts, statusjson.EventPressureOver)
		if last := r.Status().Events[0].Message; !strings.Contains(last, "within 4s 10 timed out and 5 were refused") {
			t.Error(last)
		}
		if got := r.log.with("level=WARN"); len(got) != 1 {
			t.Errorf("one warning per episode: %q", got)
		}
		r.src.Set(func(s *pool.Stats) { s.TimeoutCount++ })
		tick()
		wantKinds(t, r.Monitor, statusjson.EventPressureOver, statusjson.EventTimeouts)
		if again := r.Status().Events[0]; again.Count != 2 {
			t.Errorf("what came again is counted: %+v", again)
		}
	})
}

// While the database is down and nobody asks, nobody is served again.
func TestPressureIsNotOverWhileTheServerIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.Set(func(s *pool.Stats) { s.TimeoutCount++; s.Server = pool.ServerState{Reason: pool.ReasonUnreachable} })
		time.Sleep(quietAfter + time.Minute)
		synctest.Wait()
		wantKinds(t, r.Monitor, statusjson.EventServerRefuses, statusjson.EventTimeouts)
		r.src.Set(func(s *pool.Stats) { s.Server = pool.ServerState{OK: true} })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantKinds(t, r.Monitor, statusjson.EventServerRefuses, statusjson.EventTimeouts, statusjson.EventServerGrants, statusjson.EventPressureOver)
		if last := r.Status().Events[0].Message; !strings.HasPrefix(last, "no caller is turned away any more, and none has asked since") {
			t.Error(last)
		}
	})
}

func TestEventRingKeepsTheLatest(t *testing.T) {
	var r eventRing
	if got := r.latest(); got == nil || len(got) != 0 {
		t.Errorf("%v of an empty ring", got)
	}
	r.add(time.Now(), statusjson.EventFleetMisfit, "", statusjson.SeverityWarning, "misfit")
	for range eventsKept + 9 {
		r.add(time.Now(), statusjson.EventLeakCleared, "", statusjson.SeverityInfo, "")
	}
	got := r.latest()
	if len(got) != eventsKept+1 || got[0].Seq != eventsKept+10 || got[eventsKept-1].Seq != 11 {
		t.Errorf("%d events from %d to %d", len(got), got[0].Seq, got[len(got)-1].Seq)
	}
	if first := got[eventsKept]; first.Message != "misfit" {
		t.Errorf("what was severe went: %+v", first)
	}
	for range severeKept {
		r.add(time.Now(), statusjson.EventFleetMisfit, "", statusjson.SeverityWarning, "")
	}
	if got := r.latest(); len(got) != eventsKept+severeKept || got[len(got)-1].Message == "misfit" {
		t.Errorf("%d events", len(got))
	}
}

// A pool that goes up and down around its threshold says so once, and counts.
func TestFlappingUsageIsOneEvent(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		began := time.Now()
		for range 6 {
			r.src.Set(func(s *pool.Stats) { s.InUse, s.Idle = 10, 0 })
			time.Sleep(20 * time.Second)
			r.src.Set(func(s *pool.Stats) { s.InUse, s.Idle = 0, 10 })
			time.Sleep(40 * time.Second)
		}
		synctest.Wait()
		wantKinds(t, r.Monitor, statusjson.EventUsageHigh, statusjson.EventUsageNormal)
		high := r.Status().Events[1]
		if high.Count != 6 || high.LastAt.Sub(high.At) < 4*time.Minute+50*time.Second || high.At.Sub(began) > 20*time.Second {
			t.Errorf("%+v", high)
		}
		if got := r.log.with("pool usage"); len(got) != 2 {
			t.Errorf("the log: %q", got)
		}
		time.Sleep(flap.Within)
		r.src.Set(func(s *pool.Stats) { s.InUse, s.Idle = 10, 0 })
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := r.log.with("pool usage high"); len(got) != 2 {
			t.Errorf("after a rest it is news again: %q", got)
		}
	})
}

func TestHistoryOfHours(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		time.Sleep(3*time.Hour - 30*time.Second)
		r.src.Set(func(s *pool.Stats) { s.AcquireCount += 600; s.InUse = 7 })
		time.Sleep(time.Minute)
		synctest.Wait()
		st := status(t, r.Monitor, "?history=0&step=60").History
		if n := len(st.At); n != 180 || st.StepSeconds != 60 || st.At[n-1]-st.At[0] != 179*60 {
			t.Fatalf("%d entries, %v s each", n, st.StepSeconds)
		}
		if st.Acquired[179] != 600 || st.InUse[179] != 7 || st.Acquired[178] != 0 {
			t.Errorf("the last minutes: %v %v", st.Acquired[178:], st.InUse[178:])
		}
		time.Sleep(coarseSpan)
		if st := status(t, r.Monitor, "?history=0&step=60").History; len(st.At) != coarseKept || st.From == 0 {
			t.Errorf("%d entries from %d", len(st.At), st.From)
		}
	})
}

// The line about refused callers names who has the connections that they ask for.
func TestRefusalsNameWhoHoldsMost(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.Serve(pool.RouteStats{Name: "GET /list", InUse: 1}, pool.RouteStats{Name: "GET /report", InUse: 8}, pool.RouteStats{InUse: 9})
		r.src.Set(func(s *pool.Stats) { s.InUse, s.Idle, s.Waiting, s.ShedCount = 10, 0, 3, 9 })
		time.Sleep(2 * time.Second)
		if lines := r.log.with("refused at once"); len(lines) != 1 || !strings.Contains(lines[0], `most_held_by="GET /report" held_by_it=8`) {
			t.Errorf("%v", r.log.with("level=WARN"))
		}
	})
}
