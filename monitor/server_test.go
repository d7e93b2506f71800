package monitor

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// openPool opens a pool of size + 0 connections, closed with the test.
func openPool(t *testing.T, dsn string, size int) *pool.Pool {
	t.Helper()
	cfg := config.Default()
	cfg.Name, cfg.DatabaseURL, cfg.PoolSize, cfg.MaxOverflow = "orders", config.DSN(dsn), size, 0
	p, err := pool.Open(cfg, pool.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// start runs a monitor until the test ends.
func start(t *testing.T, p Source, opts ...Option) *Monitor {
	t.Helper()
	m := New(p, append([]Option{WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m
}

// eventually waits for a condition that the world brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("not within 30s: %s", what)
		case <-tick.C:
		}
	}
}

func TestOnARealServer(t *testing.T) {
	for _, version := range []int{15, 18} {
		t.Run(fmt.Sprint("PostgreSQL ", version), func(t *testing.T) {
			srv := pgtest.Start(t, pgtest.Options{Version: version, Settings: map[string]string{"max_connections": "20"}})
			srv.Exec(t, `CREATE ROLE orders LOGIN CONNECTION LIMIT 9`)
			p := openPool(t, srv.DSN("postgres", "orders", ""), 4)
			m := start(t, p, WithProbe(100*time.Millisecond, 2*time.Second))
			eventually(t, "healthy", func() bool { return m.HealthReport().Status == statusjson.Healthy })
			c, err := p.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			st := status(t, m, "")
			v := st.Server.View
			if v == nil || v.MaxConnections != 20 || v.RoleLimit != 9 || v.Usable != 9 || v.RoleSessions < 1 || v.Role != "orders" || st.Pool.CheckedOut < 1 {
				t.Errorf("%+v, %+v", st.Server, st.Pool)
			}
			eventually(t, "the fleet was looked at", func() bool { return m.Status().Fleet.Fits != nil })
			if f := m.Status().Fleet; !*f.Fits || f.Replicas != 1 || f.Usable != 9 || f.Need != 8 || len(f.Arithmetic) < 4 || len(f.Remedies) != 0 {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestAFleetThatDoesNotFitARealServer opens two replicas that together, and with
// a third in a deploy, can ask for more than their role may have.
func TestAFleetThatDoesNotFitARealServer(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	srv.Exec(t, `CREATE ROLE orders LOGIN CONNECTION LIMIT 11`)
	p := openPool(t, srv.DSN("postgres", "orders", ""), 4)
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first was looked at", func() bool { return !p.Stats().Fleet.At.IsZero() })
	m := start(t, openPool(t, srv.DSN("postgres", "orders", ""), 4))
	eventually(t, "the fleet does not fit", func() bool { f := m.Status().Fleet; return f.Fits != nil && !*f.Fits })
	eventually(t, "the event", func() bool { return slices.Contains(kinds(m), statusjson.EventFleetMisfit) })
	wantHealth(t, m, statusjson.Degraded, statusjson.ProblemFleetMisfit)
	if f := m.Status().Fleet; f.Replicas != 2 || f.Need != 12 || f.Usable != 11 || !slices.Contains(f.Remedies, `ALTER ROLE "orders" CONNECTION LIMIT 12;`) {
		t.Errorf("%+v", f)
	}
}

func TestServerGoesAndComes(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	p := openPool(t, srv.URL, 3)
	m := start(t, p, WithProbe(100*time.Millisecond, 2*time.Second))
	eventually(t, "healthy", func() bool { return m.HealthReport().Status == statusjson.Healthy })
	eventually(t, "a view", func() bool { return status(t, m, "").Server.View != nil })
	srv.Kill(t)
	eventually(t, "unhealthy", func() bool { return m.HealthReport().Status == statusjson.Unhealthy })
	if w := get(m.Health(), "/health"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("/health answers %d", w.Code)
	}
	eventually(t, "the server's part says that it failed", func() bool { return status(t, m, "").Server.Error != "" })
	if st := status(t, m, ""); st.Server.View == nil || st.Pool.Limit != 3 {
		t.Errorf("the last view and the pool's figures stay: %+v, %+v", st.Server, st.Pool)
	}
	srv.Restart(t)
	defer func() {
		if t.Failed() {
			t.Logf("%+v\n%+v", m.HealthReport(), p.Stats())
		}
	}()
	eventually(t, "healthy again", func() bool { return m.HealthReport().Status == statusjson.Healthy })
	eventually(t, "the server's part works again", func() bool { return status(t, m, "").Server.Error == "" })
}

func TestThroughPgBouncer(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	pooler := pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{})
	m := start(t, openPool(t, pooler.URL, 3), WithProbe(100*time.Millisecond, 2*time.Second), WithQueryText())
	eventually(t, "a probe is ok", func() bool { p := m.HealthReport().Probe; return p != nil && p.Outcome == statusjson.ProbeOK })
	eventually(t, "the server's view and its statements", func() bool {
		st := status(t, m, "")
		return st.Server.View != nil && st.Server.Error == "" && st.Queries.Error == "" && !st.Queries.At.IsZero()
	})
	if st := m.Status(); st.Pooler != "pgbouncer" || st.Health.Status == statusjson.Unhealthy {
		t.Errorf("%q, %+v", st.Pooler, st.Health)
	}
}

// TestAFullPoolIsBusyNotUnhealthy holds every connection: the probe waits in its
// own lane and says busy.
func TestAFullPoolIsBusyNotUnhealthy(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	p := openPool(t, srv.URL, 2)
	var held []*sql.Conn
	for range 2 {
		c, err := p.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	m := start(t, p, WithProbe(50*time.Millisecond, 500*time.Millisecond))
	eventually(t, "a probe waits in the probe lane", func() bool { return p.Stats().Lanes[pool.LaneProbe].Waiting == 1 })
	eventually(t, "busy", func() bool { pr := m.HealthReport().Probe; return pr != nil && pr.Outcome == statusjson.ProbeBusy })
	if h := m.HealthReport(); h.Status != statusjson.Degraded || h.Probe.ConsecutiveFailures != 0 {
		t.Errorf("%+v", h)
	}
	if h := status(t, m, "").Holders; len(h) != 2 || h[0].Caller == "" {
		t.Errorf("holders: %+v", h)
	}
	for _, c := range held {
		_ = c.Close()
	}
	eventually(t, "healthy", func() bool { return m.HealthReport().Probe.Outcome == statusjson.ProbeOK })
}
