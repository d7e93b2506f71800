package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/doctor"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// stage is a pool of 6, its monitor and a server in memory.
type stage struct {
	*pool.Pool
	wire *wire
	mon  *monitor.Monitor
	log  *lockedBuffer
	life context.Context
}

// use has n callers run sql, again and again.
func (s *stage) use(n int, name, sql string) {
	for range n {
		go func() {
			for s.life.Err() == nil {
				if _, err := s.ExecContext(pool.ContextWithName(s.life, name), sql); err != nil {
					wait(s.life, 100*time.Millisecond)
				}
			}
		}()
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// within asks for a connection and waits for so long.
func (s *stage) within(d time.Duration) error {
	ctx, cancel := context.WithTimeout(pool.ContextWithName(s.life, "GET /late"), d)
	defer cancel()
	_, err := s.ExecContext(ctx, "select 1")
	return err
}

// cause is a trouble and how its sentence begins.
type cause struct {
	verdict pool.Verdict
	play    func(s *stage)
	want    string // durations as D
}

func causes() map[string]cause {
	return map[string]cause{
		"leak": {pool.VerdictLeak, func(s *stage) {
			for range 6 {
				go func() {
					if c, err := s.Conn(pool.ContextWithName(s.life, "GET /leak")); err == nil {
						<-s.life.Done()
						_ = c.Close()
					}
				}()
			}
			wait(s.life, time.Second)
			s.use(3, "GET /late", "sleep 100ms")
		}, "6 of 6 are held without a statement, the longest D by dbmonitor/places_test.go:N (GET /leak), idle: close rows and end transactions on every path there"},
		"slow": {pool.VerdictSlow, func(s *stage) { s.use(9, "GET /slow", "sleep 1h") },
			"6 of 6 run statements that take long, the longest D by dbmonitor/places_test.go:N (GET /slow), running"},
		"lock": {pool.VerdictLock, func(s *stage) {
			s.wire.change(func(w *wire) {
				w.blocker = &serverview.LockHolder{PID: 3157, Application: "psql", Role: "alice", State: "idle in transaction", StateSeconds: 50}
			})
			s.use(9, "GET /stock", "sleep 1h")
		}, "N of 5 wait for a lock held by pid 3157 (psql, alice, idle in transaction D)"},
		"too small": {pool.VerdictSmall, func(s *stage) { s.use(20, "GET /busy", "sleep 500ms") },
			"are in use and come back after about D, but more is asked of them"},
		"server full": {pool.VerdictServerFull, func(s *stage) {
			s.wire.refuseAll("53300", `too many connections for role "orders"`, 1)
			s.use(9, "GET /full", "sleep 1s")
		}, "the server has no room for more connections (role limit) since D, and this pool has 1 of 6"},
		"neighbour": {pool.VerdictNeighbour, func(s *stage) {
			s.wire.refuseAll("53300", "sorry, too many clients already", 1)
			s.wire.change(func(w *wire) {
				w.view.Sessions, w.view.Applications = 97, []serverview.Application{{Name: "billing", Sessions: 90}, {Name: "orders", Sessions: 1}}
			})
			s.use(9, "GET /full", "sleep 1s")
		}, "of 97 sessions billing has 90, this service 1"},
		"unreachable": {pool.VerdictServerDown, func(s *stage) {
			s.wire.change(func(w *wire) { w.down = true; w.endAll(0) })
			s.use(9, "GET /down", "sleep 1s")
		}, "no connection can be opened (unreachable) since D, and this pool has no connection: check that the server runs and is reachable"},
		"hung": {pool.VerdictServerHung, func(s *stage) {
			s.use(9, "GET /hung", "sleep 100ms")
			wait(s.life, time.Second)
			s.wire.change(func(w *wire) { w.stopped = make(chan struct{}) })
		}, "the server is connected and has not answered for D, and "},
		"rejected": {pool.VerdictRejected, func(s *stage) {
			s.wire.refuseAll("28P01", `password authentication failed for user "orders"`, 1)
			s.use(9, "GET /late", "sleep 1s")
		}, "no connection can be opened (authentication) since D, and this pool has 1 of 6"},
		"nested": {pool.VerdictNested, func(s *stage) {
			for range 6 {
				go func() {
					_ = s.WithSession(pool.ContextWithName(s.life, "GET /nested"), func(ctx context.Context, one *pool.Session) error {
						if _, err := one.ExecContext(ctx, "select 1"); err != nil {
							return err
						}
						wait(ctx, 200*time.Millisecond)
						_, err := s.ExecContext(ctx, "select 1")
						return err
					})
				}()
			}
		}, "callers that hold a connection already wait for another, the longest holder D by dbmonitor/places_test.go:N (GET /nested), idle"},
		"background": {pool.VerdictBackground, func(s *stage) {
			for range 6 {
				go func() {
					_ = s.Background(s.life, "reindex", func(ctx context.Context, one *pool.Session) error {
						_, err := one.ExecContext(ctx, "sleep 1h")
						return err
					})
				}()
			}
			wait(s.life, time.Second)
			s.use(20, "GET /busy", "sleep 500ms")
		}, "background work has 3 of the 3 connections that it may have, the longest held D by dbmonitor/places_test.go:N (reindex), running"},
	}
}

// TestOneSentenceEverywhere plays each cause and asks each place why callers get no
// connection. All of them say the same.
func TestOneSentenceEverywhere(t *testing.T) {
	for name, c := range causes() {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				c.play(s)
				time.Sleep(11 * time.Second)
				c.compare(t, s)
			})
		})
	}
}

// compare has somebody ask for a connection who waits, and somebody who cannot,
// and asks each place why.
func (c cause) compare(t *testing.T, s *stage) {
	t.Helper()
	late := s.within(time.Second)
	refused := s.within(time.Millisecond)
	for place, text := range places(t, s, late, refused) {
		if !strings.Contains(text, sentence(t, s)) {
			t.Errorf("%s\nsays %s\nwant %s", place, text, sentence(t, s))
		}
	}
	if got := sentence(t, s); !strings.Contains(got, c.want) || s.Diagnose().Verdict != c.verdict {
		t.Errorf("%s: %s\nwant %s: %s", s.Diagnose().Verdict, got, c.verdict, c.want)
	}
}

// lockedBuffer is a log that is read while others write it.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func onStage(t *testing.T, test func(t *testing.T, s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &stage{log: &lockedBuffer{}, life: ctx, wire: &wire{sessions: map[uint32]*session{}, view: serverview.View{
			Version: "18.4", Role: "orders", MaxConnections: 100, RoleLimit: -1, DatabaseLimit: -1, Sessions: 10,
		}}}
		cfg := config.Default()
		cfg.Name, cfg.ApplicationName, cfg.PoolSize, cfg.MaxOverflow, cfg.Fleet = "orders", "orders", 6, 0, config.FleetOff
		cfg.DatabaseURL = "postgres://orders:x@127.0.0.1:5432/orders?sslmode=disable"
		cfg.ConnectTimeout = 2 * time.Second
		log := slog.New(slog.NewTextHandler(s.log, nil))
		p, err := pool.Open(cfg, pool.WithDialFunc(s.wire.dial), pool.WithLogger(log))
		if err != nil {
			t.Fatal(err)
		}
		s.Pool, s.mon = p, monitor.New(p, monitor.WithLogger(log), monitor.WithProbe(time.Second, 2*time.Second))
		done := make(chan error, 1)
		go func() { done <- s.mon.Run(ctx) }()
		time.Sleep(time.Second)
		test(t, s)
		cancel()
		s.wire.change(func(w *wire) {
			if w.stopped != nil {
				close(w.stopped)
				w.stopped = nil
			}
		})
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = p.Close() // its tasks are cut off
		synctest.Wait()
	})
}

// places are what each place says now.
func places(t *testing.T, s *stage, late, refused error) map[string]string {
	t.Helper()
	served := source.NewClientWith(target(t), handlers{s.mon}, time.Second).Fetch(t.Context(), -1)
	if served.Status == nil {
		t.Fatal(served.Failure)
	}
	out := map[string]string{
		"error":     text(late),
		"refused":   text(refused),
		"log":       warnings(s.log.String()),
		"/health":   said(s.mon.HealthReport().Diagnosis),
		"page":      said(served.Status.Health.Diagnosis),
		"ready":     get(s.mon.Ready(), "/health/ready").Body.String(),
		"dbmonitor": printed(t, served),
		"doctor":    examined(t, served),
	}
	if s.mon.HealthReport().Status != "unhealthy" {
		delete(out, "ready")
	}
	for place := range out {
		out[place] = plain(out[place])
	}
	return out
}

func text(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func said(d *statusjson.Diagnosis) string {
	if d == nil {
		return "no diagnosis"
	}
	return d.Sentence
}

func warnings(log string) string {
	var out []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") {
			out = append(out, strings.ReplaceAll(line, `\"`, `"`))
		}
	}
	return strings.Join(out, "")
}

func printed(t *testing.T, s source.Snapshot) string {
	var b bytes.Buffer
	if err := (report.Text{}).Write(&b, report.New(s, nil)); err != nil {
		t.Error(err)
	}
	return b.String()
}

func examined(t *testing.T, s source.Snapshot) string {
	c, err := doctor.ExamineService(s, doctor.Fleet{})
	if err != nil {
		return err.Error()
	}
	var b bytes.Buffer
	if err := doctor.Diagnose(c).Write(&b, report.Text{}); err != nil {
		t.Error(err)
	}
	return b.String()
}

var (
	durations = regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(\.\d+)?m?s\b`)
	lines     = regexp.MustCompile(`(_test\.go):\d+`)
	waiting   = regexp.MustCompile(`\b\d+( of \d+ (are in use|waits?) |( waits?)\)| more\)| callers? waits? )`)
	process   = regexp.MustCompile(`(_backend)\(1\d\d\)`)
)

// plain is a text without what differs from one moment to the next.
func plain(s string) string {
	s = strings.ReplaceAll(s, "\n", " ")
	s = lines.ReplaceAllString(durations.ReplaceAllString(s, "D"), "$1:N")
	s = process.ReplaceAllString(waiting.ReplaceAllString(s, "N$1"), "$1(P)")
	return strings.ReplaceAll(s, " (the server as seen D ago)", "")
}

func sentence(t *testing.T, s *stage) string {
	t.Helper()
	d := s.Diagnose()
	if d.Sentence == "" {
		t.Error("nothing is wrong")
	}
	return plain(d.Sentence)
}

func target(t *testing.T) source.Target {
	out, err := source.ParseTarget("http://127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// handlers serve a monitor's pages without a network.
type handlers struct{ m *monitor.Monitor }

func (h handlers) RoundTrip(r *http.Request) (*http.Response, error) {
	mux := http.NewServeMux()
	mux.Handle("/health", h.m.Health())
	mux.Handle("/debug/pool-status", h.m.PoolStatus())
	w := httptest.NewRecorder()
	r = r.Clone(r.Context())
	r.RemoteAddr = "127.0.0.1:1"
	mux.ServeHTTP(w, r)
	return w.Result(), nil
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}
