package pool

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// fewSlots is a server that ordinary roles can fill, and whose log says whom it refused.
var fewSlots = map[string]string{"max_connections": "20", "log_line_prefix": "user=%u "}

// knocks counts how often the server refused a role for want of room.
func knocks(srv *pgtest.Server, role string) (n int) {
	for line := range strings.Lines(srv.Log()) {
		if strings.HasPrefix(line, "user="+role+" FATAL") && (strings.Contains(line, "connection slots are reserved") || strings.Contains(line, "too many clients")) {
			n++
		}
	}
	return n
}

// TestFullServer has fifty callers behind each pool while others hold all of the
// server's slots but the two that the pool has.
func TestFullServer(t *testing.T) {
	t.Parallel()
	onServers(t, fewSlots, func(t *testing.T, srv *pgtest.Server) {
		const limit, had, workers, seconds = 10, 2, 50, 3
		ours := open(t, settled(as(ordinary(t, srv, "ours"), "ours"), limit, 0))
		rivals := []*contender{mine(ours), rawPool(t, ordinary(t, srv, "raw"), limit), pgxPool(t, ordinary(t, srv, "pgx"), limit)}
		for _, r := range rivals {
			inParallel(had, func(int) { mustExec(t, r, "select pg_sleep(0.2)") })
		}
		_, free := srv.FillSlots(t, 0)

		w := startWork(t, rivals[0], workers)
		w.runFor(time.Second)
		dials, served := ours.Stats().DialCount, w.served.Load()
		w.runFor(seconds * time.Second)
		dials, served = ours.Stats().DialCount-dials, w.served.Load()-served
		t.Logf("ours: %.1f dials/s, %d served/s, %d failed", float64(dials)/seconds, served/seconds, w.failed.Load())
		if dials > 2*seconds+2 {
			t.Errorf("%d dials in %d s, want about 2 a second at most", dials, seconds)
		}
		if served < seconds || w.failed.Load() > 0 {
			t.Errorf("%d served and %d failed: the connections there are should serve all", served, w.failed.Load())
		}

		opened := ours.Stats().OpenedCount
		free()
		found := until(t, 5*time.Second, "room is found", func() bool { return ours.Stats().OpenedCount > opened })
		grown := until(t, 10*time.Second, "the pool has grown", func() bool { return ours.Stats().Open() == limit })
		t.Logf("ours: found room after %s, %d connections after %s", found.Round(time.Millisecond), limit, grown.Round(time.Millisecond))
		if found > 2*time.Second {
			t.Errorf("found room after %s, want 2s at most", found)
		}
		w.stop()

		srv.FillSlots(t, 0)
		for i, role := range []string{"raw", "pgx"} {
			w := startWork(t, rivals[i+1], workers)
			before := knocks(srv, role)
			w.runFor(seconds * time.Second)
			w.stop()
			n := knocks(srv, role) - before
			t.Logf("%s: %d dials/s, %d served/s, %d failed", rivals[i+1].name, n/seconds, w.served.Load()/seconds, w.failed.Load())
			if role == "raw" && uint64(n) <= 2*dials {
				t.Error("database/sql was no worse: the test shows nothing")
			}
		}
	})
}

// ordinary makes a role that may not use the reserved slots.
func ordinary(t *testing.T, srv *pgtest.Server, role string) (dsn string) {
	t.Helper()
	srv.Exec(t, "create role "+role+" login")
	return srv.DSN("postgres", role, "")
}

func mustExec(t *testing.T, c *contender, query string) {
	t.Helper()
	if err := c.exec(t.Context(), query); err != nil {
		t.Errorf("%s: %v", c.name, err)
	}
}

// work is a service under load: callers who come back as soon as they are served.
type work struct {
	served, failed atomic.Int64
	done           chan struct{}
	cancel         context.CancelFunc
}

func startWork(t *testing.T, c *contender, workers int) *work {
	ctx, cancel := context.WithCancel(t.Context())
	w := &work{done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(w.done)
		inParallel(workers, func(int) { w.loop(ctx, t, c) })
	}()
	t.Cleanup(w.stop)
	return w
}

func (w *work) loop(ctx context.Context, t *testing.T, c *contender) {
	for ctx.Err() == nil {
		err := c.exec(ctx, "select pg_sleep($1)", 0.005)
		switch {
		case err == nil:
			w.served.Add(1)
		case ctx.Err() == nil:
			if w.failed.Add(1); c.name == "ours" {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// runFor lets the load go on for a while.
func (w *work) runFor(d time.Duration) { time.Sleep(d) }

func (w *work) stop() {
	w.cancel()
	<-w.done
}

// TestServerFullError wants each kind of "too many" told apart, and only from
// callers whose pool_timeout has run out.
func TestServerFullError(t *testing.T) {
	t.Parallel()
	onServers(t, fewSlots, func(t *testing.T, srv *pgtest.Server) {
		srv.Exec(t, "create role few login connection limit 1")
		srv.Exec(t, "create database small connection limit 0")
		dsn := ordinary(t, srv, "app")
		few := open(t, settled(srv.DSN("postgres", "few", ""), 1, 0))
		if err := few.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantServerFull(t, srv.DSN("postgres", "few", ""), "role limit")
		wantServerFull(t, srv.DSN("small", "app", ""), "database limit")
		_, free := srv.FillSlots(t, 0)
		wantServerFull(t, dsn, "reserved slots")
		free()
	})
}

// wantServerFull opens a pool that gets no connection.
func wantServerFull(t *testing.T, dsn, reason string) {
	t.Helper()
	cfg := settled(dsn, 2, 0)
	cfg.PoolTimeout = 300 * time.Millisecond
	p := open(t, cfg)
	refusedOnce(t, p, pgdriver.StateTooManyConnections) // a busy machine takes longer than pool_timeout to say no
	before := p.Stats().TimeoutCount
	started := time.Now()
	err := p.PingContext(t.Context())
	if waited := time.Since(started); waited < cfg.PoolTimeout {
		t.Errorf("%s: the answer came after %s, want %s", reason, waited, cfg.PoolTimeout)
	}
	var e *AcquireError
	if !errors.As(err, &e) || !errors.Is(err, ErrServerFull) || !errors.Is(err, ErrPoolTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%s: got %v, want ErrServerFull", reason, err)
	}
	d := e.Stats.LastDialError
	if string(d.Reason) != reason || d.SQLState != pgdriver.StateTooManyConnections || d.Remedy == "" {
		t.Errorf("got %+v, want reason %q and a remedy", d, reason)
	}
	for _, part := range []string{"server full", d.Message} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not tell %q", err, part)
		}
	}
	if s := p.Stats(); s.Server.OK || string(s.Server.Reason) != reason || s.TimeoutCount != before+1 {
		t.Errorf("Stats tell %+v and %d timeouts, want %d", s.Server, s.TimeoutCount, before+1)
	}
}

// refusedOnce has p ask for a connection until the server has refused one with state.
func refusedOnce(t *testing.T, p *Pool, state string) {
	t.Helper()
	until(t, 30*time.Second, "the server refuses with "+state, func() bool {
		_ = p.PingContext(t.Context()) // what it says of itself is not the test's yet
		d := p.Stats().LastDialError
		return d != nil && d.SQLState == state
	})
}
