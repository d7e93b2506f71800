package monitor

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
		{"broken", []func(*pool.Stats){func(s *pool.Stats) { s.Closed.Broken = 3 }, func(s *pool.Stats) { s.Closed.Broken = 4 }}, []statusjson.EventKind{statusjson.EventBroken}, "3 connections were ended"},
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
		wantKinds(t, r.Monitor, statusjson.EventTimeouts, statusjson.EventPressureOver, statusjson.EventTimeouts)
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
	for range eventsKept + 10 {
		r.add(time.Now(), statusjson.EventLeak, statusjson.SeverityInfo, "")
	}
	got := r.latest()
	if len(got) != eventsKept || got[0].Seq != eventsKept+10 || got[eventsKept-1].Seq != 11 {
		t.Errorf("%d events from %d to %d", len(got), got[0].Seq, got[len(got)-1].Seq)
	}
}
