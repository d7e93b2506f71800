package monitor

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/internal/fakesource"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

func TestStatusLineEveryInterval(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		time.Sleep(5*time.Minute - time.Second)
		if got := r.log.with("pool status"); len(got) != 0 {
			t.Fatalf("logged before the interval: %q", got)
		}
		r.src.Set(func(s *pool.Stats) { s.InUse, s.AcquireCount, s.TimeoutCount = 3, 40, 2 })
		time.Sleep(time.Second)
		synctest.Wait()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		got := r.log.with("pool status")
		if len(got) != 2 {
			t.Fatalf("%d lines after 10 minutes: %q", len(got), got)
		}
		for _, want := range []string{"level=INFO", "pool=orders", "in_use=3", "max_open=10", "usage_percent=30", "since_last.acquired=40", "since_last.timed_out=2", "health="} {
			if !strings.Contains(got[0], want) {
				t.Errorf("%q lacks %q", got[0], want)
			}
		}
		if !strings.Contains(got[1], "since_last.acquired=0") {
			t.Errorf("the second line counts anew: %q", got[1])
		}
	})
}

func TestUsageWarnsOncePerChange(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.Hold(pool.Holder{Caller: "api/report.go:88", Held: time.Second, Activity: "running"})
		r.src.Set(func(s *pool.Stats) { s.InUse = 8 })
		time.Sleep((sustained - 2) * time.Second) // a pool may be full for a moment
		synctest.Wait()
		if got := r.log.with("pool usage"); len(got) != 0 {
			t.Errorf("too early: %q", got)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		warned := r.log.with("pool usage high")
		if len(warned) != 1 || !strings.Contains(warned[0], "level=WARN") || !strings.Contains(warned[0], "usage_percent=80") || !strings.Contains(warned[0], "api/report.go:88") {
			t.Fatalf("warnings: %q", warned)
		}
		r.src.Set(func(s *pool.Stats) { s.InUse = 10 })
		time.Sleep(time.Minute)
		r.src.Set(func(s *pool.Stats) { s.InUse = 7 }) // below the threshold, not below the clear level
		time.Sleep(time.Minute)
		if got := r.log.with("pool usage"); len(got) != 1 {
			t.Errorf("while high: %q", got)
		}
		st := r.Status()
		if !st.Pool.OverThreshold || st.Pool.OverSince.IsZero() || st.Pool.ClearPercent != 70 || st.Health.Status != statusjson.Degraded || st.Health.Problems[0].Code != statusjson.ProblemUsageHigh {
			t.Errorf("%+v, %+v", st.Pool, st.Health)
		}
		r.src.Set(func(s *pool.Stats) { s.InUse = 6 })
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if got := r.log.with("pool usage normal"); len(got) != 1 || !strings.Contains(got[0], "level=INFO") {
			t.Errorf("all-clears: %q", got)
		}
		wantKinds(t, r.Monitor, statusjson.EventUsageHigh, statusjson.EventUsageNormal)
		if st := r.Status(); st.Health.Status != statusjson.Healthy || st.Pool.OverThreshold || st.Pool.PeakInUse != 10 {
			t.Errorf("after: %+v, %+v", st.Pool, st.Health)
		}
	})
}

func TestServerUsageWarnsToo(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.See(func(v *serverview.View) { v.Sessions = 80 }) // of 97
		time.Sleep(viewInterval + 2*time.Second)
		synctest.Wait()
		if got := r.log.with("server usage high"); len(got) != 1 || !strings.Contains(got[0], "free=17") {
			t.Fatalf("warnings: %q", got)
		}
		st := r.Status()
		if !st.Server.OverThreshold || st.Health.Status != statusjson.Degraded {
			t.Errorf("%+v %+v", st.Server, st.Health)
		}
		r.src.See(func(v *serverview.View) { v.Sessions = 40 })
		time.Sleep(viewInterval + clearAfter + 2*time.Second)
		synctest.Wait()
		if got := r.log.with("server usage normal"); len(got) != 1 {
			t.Errorf("all-clears: %q", got)
		}
		wantKinds(t, r.Monitor, statusjson.EventServerUsageHigh, statusjson.EventServerUsageNormal)
	})
}

// The answers take a moment, so that no look at the clock finds them exactly
// viewInterval old.
func TestTheViewIsReadAtItsInterval(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.Slow(20 * time.Millisecond)
		time.Sleep(viewInterval + time.Second)
		before := r.src.Asked("view")
		time.Sleep(4 * viewInterval)
		if got := r.src.Asked("view") - before; got != 4 {
			t.Errorf("read %d times in %s, want once every %s", got, 4*viewInterval, viewInterval)
		}
	})
}

func TestAnOldViewOfTheServerWarnsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.See(func(v *serverview.View) { v.Sessions = 97 })
		time.Sleep(viewInterval + 2*time.Second)
		synctest.Wait()
		wantHealth(t, r.Monitor, statusjson.Degraded, statusjson.ProblemServerUsage)
		r.src.Fail(errLost)
		time.Sleep(viewCounts + viewInterval)
		synctest.Wait()
		wantHealth(t, r.Monitor, statusjson.Healthy)
		if st := status(t, r.Monitor, "?history=0"); st.Server.View == nil || st.History.ServerUsed[len(st.History.ServerUsed)-1] != -1 {
			t.Errorf("the old view is still shown, and the history knows nothing: %+v", st.Server)
		}
	})
}

func TestMonitoringOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, log := fakesource.New(t), &logbook{}
		src.Configure(func(c *config.Config) { c.PoolMonitoring = false })
		src.Ping(func(context.Context) error { t.Error("probed"); return nil })
		m := New(src, WithLogger(log.logger()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		src.Set(func(s *pool.Stats) { s.InUse = 10 })
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
		if lines := log.with(""); len(lines) != 0 || src.Asked("view") != 0 {
			t.Errorf("logged %q, asked the server %d times", lines, src.Asked("view"))
		}
		h := m.HealthReport()
		if h.Monitoring != statusjson.MonitoringOff || h.Status != statusjson.Degraded || h.Problems[0].Code != statusjson.ProblemUsageHigh || h.Probe != nil {
			t.Errorf("%+v", h)
		}
		src.Set(func(s *pool.Stats) { s.InUse = 1 })
		if h := m.HealthReport(); h.Status != statusjson.Healthy {
			t.Errorf("%+v", h)
		}
		src.Set(func(s *pool.Stats) { s.InUse, s.Idle, s.Server = 0, 0, pool.ServerState{Reason: "unreachable"} })
		if h := m.HealthReport(); h.Status != statusjson.Unhealthy || h.Problems[0].Code != statusjson.ProblemUnreachable {
			t.Errorf("%+v", h)
		}
	})
}

func TestRunIsRunOnceAtATimeAndAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		if err := r.Run(t.Context()); err != errRunning {
			t.Errorf("a second Run: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := New(fakesource.New(t), WithLogger((&logbook{}).logger()))
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := m.Run(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			if h := m.HealthReport(); h.Monitoring != statusjson.MonitoringStopped || h.Status != statusjson.Degraded || h.Problems[0].Code != statusjson.ProblemNotRunning {
				t.Errorf("after Run: %+v", h)
			}
		}
	})
}

func TestRunRefusesUnusableOptions(t *testing.T) {
	src := fakesource.New(t)
	src.Configure(func(c *config.Config) { c.LogPoolStatusInterval = 0 })
	m := New(src, WithProbe(0, time.Second), WithUnhealthyAfter(0), WithToken(""))
	err := m.Run(t.Context())
	for _, want := range []string{"WithProbe", "WithUnhealthyAfter", "WithToken", "LOG_POOL_STATUS_INTERVAL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
