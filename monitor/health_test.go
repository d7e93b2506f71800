package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/monitor/internal/fakesource"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

var errLost = errors.New("read tcp 10.0.0.7:41234->10.0.0.5:5432: connection reset by peer")

func problems(h statusjson.HealthReport) []statusjson.ProblemCode {
	out := []statusjson.ProblemCode{}
	for _, p := range h.Problems {
		out = append(out, p.Code)
	}
	return out
}

func wantHealth(t *testing.T, m *Monitor, status statusjson.HealthStatus, codes ...statusjson.ProblemCode) {
	t.Helper()
	if h := m.HealthReport(); h.Status != status || !slices.Equal(problems(h), codes) {
		t.Errorf("%s %v, want %s %v (%+v)", h.Status, problems(h), status, codes, h)
	}
}

func TestHealthNeverTouchesTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := fakesource.New(t)
		probes := 0
		src.Ping(func(context.Context) error { probes++; return nil })
		m := New(src, WithLogger((&logbook{}).logger()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		synctest.Wait()
		views := src.Asked("view")
		for range 1000 {
			if w := get(m.Health(), "/health"); w.Code != http.StatusOK {
				t.Fatal(w.Code)
			}
		}
		synctest.Wait()
		if probes != 1 || src.Asked("view") != views {
			t.Errorf("%d probes, %d views after 1000 requests", probes, src.Asked("view"))
		}
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if probes != 6 {
			t.Errorf("%d probes in 25s, want one at once and one every 5s", probes)
		}
		cancel()
		<-done
	})
}

func TestProbesGoThroughTheirOwnLaneWithADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := fakesource.New(t)
		var left time.Duration
		src.Ping(func(ctx context.Context) error {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			<-ctx.Done()
			return ctx.Err()
		})
		m := New(src, WithLogger((&logbook{}).logger()), WithProbe(10*time.Second, 4*time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
		if left != 4*time.Second {
			t.Errorf("a probe had %s", left)
		}
		p := m.HealthReport().Probe
		if p == nil || p.Outcome != statusjson.ProbeFailed || p.LatencySeconds != 4 || p.Reason != "no answer in time" || p.AgeSeconds != 1 {
			t.Errorf("%+v", p)
		}
	})
}

func TestUnreachableAfterThreeProbes(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		wantHealth(t, r.Monitor, statusjson.Healthy)
		began := time.Now().Add(5 * time.Second)
		r.src.PingError(errLost)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantHealth(t, r.Monitor, statusjson.Degraded, statusjson.ProblemUnreachable)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantHealth(t, r.Monitor, statusjson.Degraded, statusjson.ProblemUnreachable)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantHealth(t, r.Monitor, statusjson.Unhealthy, statusjson.ProblemUnreachable)

		w := get(r.Health(), "/health")
		h := decode[statusjson.HealthReport](t, w)
		if w.Code != http.StatusServiceUnavailable || !h.Since.Equal(began.Add(10*time.Second)) || !h.Problems[0].Since.Equal(began) || h.Probe.ConsecutiveFailures != 3 {
			t.Errorf("%d, since %v, %+v", w.Code, h.Since, h.Problems)
		}
		if body := w.Body.String(); strings.Contains(body, "10.0.0") {
			t.Errorf("an address is told: %s", body)
		}
		if got := r.log.with("database unhealthy"); len(got) != 1 || !strings.Contains(got[0], "level=ERROR") {
			t.Errorf("%q", got)
		}
		time.Sleep(time.Minute)
		r.src.PingError(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantHealth(t, r.Monitor, statusjson.Healthy)
		if got := r.log.with("database"); len(got) != 2 || !strings.Contains(got[1], "database usable again") {
			t.Errorf("once per change: %q", got)
		}
		wantKinds(t, r.Monitor, statusjson.EventHealth, statusjson.EventHealth)
	})
}

func TestOneFailureIsEnoughBeforeTheFirstSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, gate := fakesource.New(t), make(chan error)
		src.Set(func(s *pool.Stats) { s.Idle = 0 })
		src.Ping(func(ctx context.Context) error {
			select {
			case err := <-gate:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		m := New(src, WithLogger((&logbook{}).logger()))
		wantHealth(t, m, statusjson.Degraded, statusjson.ProblemNotRunning)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		synctest.Wait()
		wantHealth(t, m, statusjson.Unhealthy, statusjson.ProblemStarting)
		gate <- errLost
		synctest.Wait()
		wantHealth(t, m, statusjson.Unhealthy, statusjson.ProblemUnreachable)
		gate <- nil // five seconds later
		synctest.Wait()
		wantHealth(t, m, statusjson.Healthy)
		cancel()
		<-done
	})
}

// A service that waited for Pool.Ready has a connection when its monitor starts:
// it is ready before the first probe has ended.
func TestAConnectionCountsBeforeTheFirstProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := fakesource.New(t)
		src.Ping(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		m := New(src, WithLogger((&logbook{}).logger()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		synctest.Wait()
		wantHealth(t, m, statusjson.Healthy)
		wantReady(t, m, "")
		src.Set(func(s *pool.Stats) { s.Idle = 0 })
		wantHealth(t, m, statusjson.Unhealthy, statusjson.ProblemStarting)
		src.Set(func(s *pool.Stats) { s.Idle = 2 })
		time.Sleep(3 * time.Second) // the first probe ends
		synctest.Wait()
		wantHealth(t, m, statusjson.Unhealthy, statusjson.ProblemUnreachable)
		cancel()
		<-done
	})
}

// timedOut is what a probe meets that waits in vain.
func timedOut(v pool.Verdict) error { return &pool.AcquireError{Kind: pool.ErrPoolTimeout, Verdict: v} }

func TestBusyIsNotUnhealthy(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.PingError(timedOut(pool.VerdictSmall))
		for range 60 { // five minutes of a full pool whose work goes on
			r.src.Set(func(s *pool.Stats) { s.InUse, s.Idle, s.Waiting = 10, 0, 40; s.Hold.Count++ })
			time.Sleep(5 * time.Second)
		}
		synctest.Wait()
		wantHealth(t, r.Monitor, statusjson.Degraded, statusjson.ProblemBusy, statusjson.ProblemUsageHigh)
		if p := r.HealthReport().Probe; p.Outcome != statusjson.ProbeBusy || p.ConsecutiveFailures != 0 {
			t.Errorf("%+v", p)
		}
		if w := get(r.Health(), "/health"); w.Code != http.StatusOK {
			t.Errorf("answered %d", w.Code)
		}
	})
}

// Statements that run for as long as they like are no reason to take a service
// out of the load balancer; a lock that nobody gives back is.
func TestBlockedIsUnhealthyAndRunningIsNot(t *testing.T) {
	for _, tc := range []struct {
		verdict pool.Verdict
		want    statusjson.HealthStatus
	}{
		{pool.VerdictSlow, statusjson.Degraded}, {pool.VerdictSmall, statusjson.Degraded}, {pool.VerdictBackground, statusjson.Degraded},
		{pool.VerdictLock, statusjson.Unhealthy}, {pool.VerdictLeak, statusjson.Unhealthy}, {pool.VerdictNested, statusjson.Unhealthy}, {pool.VerdictServerHung, statusjson.Unhealthy},
	} {
		t.Run(string(tc.verdict), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r running) {
				r.src.PingError(timedOut(tc.verdict))
				r.src.Suffer(pool.Diagnosis{Verdict: tc.verdict, Sentence: "it is so"})
				r.src.Set(func(s *pool.Stats) {
					s.InUse, s.Idle, s.Waiting = 2, 0, 1
					s.PoolSize, s.MaxOverflow, s.Limit = 2, 0, 2
				})
				time.Sleep(blockedAfter - 2*time.Second)
				synctest.Wait()
				if h := r.HealthReport(); h.Status != statusjson.Degraded {
					t.Errorf("at once: %+v", h)
				}
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				h := r.HealthReport()
				if h.Status != tc.want || h.Diagnosis == nil || h.Diagnosis.Sentence != "it is so" {
					t.Errorf("after five minutes: %+v", h)
				}
				if tc.want == statusjson.Unhealthy && (h.Problems[0].Code != statusjson.ProblemStuck || h.Problems[0].Message != "it is so") {
					t.Errorf("%+v", h.Problems)
				}
			})
		})
	}
}

func TestStaleProbesAreNoticed(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		hang := make(chan struct{})
		r.src.Ping(func(context.Context) error { <-hang; return nil }) // a driver that ignores its context
		time.Sleep(13 * time.Second)
		synctest.Wait()
		wantHealth(t, r.Monitor, statusjson.Healthy)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantHealth(t, r.Monitor, statusjson.Degraded, statusjson.ProblemStale)
		r.src.Set(func(s *pool.Stats) { s.Idle, s.Server = 0, pool.ServerState{Reason: "unreachable"} })
		tick()
		wantHealth(t, r.Monitor, statusjson.Unhealthy, statusjson.ProblemUnreachable, statusjson.ProblemStale)
		close(hang)
		synctest.Wait()
	})
}

func TestDiagnosis(t *testing.T) {
	full := pool.ServerState{Reason: "server full"}
	for _, tc := range []struct {
		name  string
		err   error
		stats pool.Stats
		want  finding
	}{
		{"answered", nil, pool.Stats{}, finding{outcome: statusjson.ProbeOK}},
		{"closed", &pool.AcquireError{Kind: pool.ErrClosed}, pool.Stats{}, finding{outcome: statusjson.ProbeFailed, reason: "the pool is closed", closed: true}},
		{"all in use", timedOut(pool.VerdictLeak), pool.Stats{InUse: 10}, finding{outcome: statusjson.ProbeBusy, reason: "no connection was free"}},
		{"refused at once", &pool.AcquireError{Kind: pool.ErrOverloaded}, pool.Stats{InUse: 10}, finding{outcome: statusjson.ProbeBusy, reason: "no connection was free"}},
		{"server full, some of ours", &pool.AcquireError{Kind: pool.ErrServerFull}, pool.Stats{InUse: 2, Server: full}, finding{outcome: statusjson.ProbeBusy, reason: "no connection was free"}},
		{"server full, none of ours", &pool.AcquireError{Kind: pool.ErrServerFull}, pool.Stats{Server: full}, finding{outcome: statusjson.ProbeFailed, reason: "server full"}},
		{"server down", timedOut(pool.VerdictServerDown), pool.Stats{InUse: 1, LastDialError: &pool.DialError{Reason: "unreachable"}}, finding{outcome: statusjson.ProbeFailed, reason: "unreachable"}},
		{"server hung, and a dial failed before others succeeded", timedOut(pool.VerdictServerHung), pool.Stats{Closing: 10, Server: pool.ServerState{OK: true}, LastDialError: &pool.DialError{Reason: "reserved slots"}}, finding{outcome: statusjson.ProbeFailed, reason: "no answer in time"}},
		{"a dial failed before others succeeded", timedOut(""), pool.Stats{Dialing: 3, Server: pool.ServerState{OK: true}, LastDialError: &pool.DialError{Reason: "reserved slots"}}, finding{outcome: statusjson.ProbeBusy, reason: "no connection could be had in time"}},
		{"dialing all the time", timedOut(""), pool.Stats{Dialing: 10}, finding{outcome: statusjson.ProbeBusy, reason: "no connection could be had in time"}},
		{"dial failed", &pool.DialError{Reason: "authentication"}, pool.Stats{}, finding{outcome: statusjson.ProbeFailed, reason: "authentication"}},
		{"no answer", context.DeadlineExceeded, pool.Stats{InUse: 1}, finding{outcome: statusjson.ProbeFailed, reason: "no answer in time", silent: true}},
		{"lost", errLost, pool.Stats{}, finding{outcome: statusjson.ProbeFailed, reason: "the connection failed"}},
		{"SQL error", stateError("57P01"), pool.Stats{}, finding{outcome: statusjson.ProbeFailed, reason: "the server answered with error 57P01"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := diagnose(tc.err, &tc.stats); got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}

type stateError string

func (e stateError) Error() string    { return "ERROR: of user bob at 10.0.0.5" }
func (e stateError) SQLState() string { return string(e) }

func TestTheClosedPoolIsUnhealthyAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.PingError(&pool.AcquireError{Kind: pool.ErrClosed})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantHealth(t, r.Monitor, statusjson.Unhealthy, statusjson.ProblemClosed)
	})
}

func TestDegradations(t *testing.T) {
	for name, tc := range map[string]struct {
		set  func(*pool.Stats)
		want statusjson.ProblemCode
	}{
		"full server":       {func(s *pool.Stats) { s.Server = pool.ServerState{Reason: "reserved slots"} }, statusjson.ProblemServerFull},
		"refusing server":   {func(s *pool.Stats) { s.Server = pool.ServerState{Reason: "starting up"} }, statusjson.ProblemServerRefuses},
		"leak":              {func(s *pool.Stats) { s.Leaking = 1 }, statusjson.ProblemLeak},
		"statement timeout": {func(s *pool.Stats) { s.StatementTimeout.InForce, s.StatementTimeout.How = false, "not in force" }, statusjson.ProblemNoStmtTimeout},
		"turned away":       {func(s *pool.Stats) { s.ShedCount++ }, statusjson.ProblemTurningAway},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r running) {
				r.src.Set(tc.set)
				tick()
				wantHealth(t, r.Monitor, statusjson.Degraded, tc.want)
				since := r.HealthReport().Problems[0].Since
				time.Sleep(3 * time.Second)
				if again := r.HealthReport().Problems[0].Since; since.IsZero() || !again.Equal(since) {
					t.Errorf("since %v, later %v", since, again)
				}
			})
		})
	}
}

func TestHealthHandler(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		w := get(r.Health(), "/health")
		var fields map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil {
			t.Fatal(err)
		}
		if fields["service"] != "dbpool" || fields["status"] != "healthy" || fields["format"] != 1.0 || fields["problems"] == nil {
			t.Errorf("%v", fields)
		}
		h := w.Result().Header
		if h.Get("Cache-Control") != "no-store" || !strings.HasPrefix(h.Get("Content-Type"), "application/json") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%v", h)
		}
		head := httptest.NewRecorder()
		r.Health().ServeHTTP(head, httptest.NewRequest(http.MethodHead, "/health", nil))
		if head.Code != http.StatusOK || head.Body.Len() != 0 || head.Result().Header.Get("Content-Length") == "" {
			t.Errorf("HEAD: %d, %d bytes", head.Code, head.Body.Len())
		}
		post := httptest.NewRecorder()
		r.Health().ServeHTTP(post, httptest.NewRequest(http.MethodPost, "/health", nil))
		if post.Code != http.StatusMethodNotAllowed || post.Result().Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST: %d", post.Code)
		}
	})
}
