package main

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/pool"
)

// TestOneSentenceInAFleet is TestOneSentenceEverywhere for a pool that shares a
// budget. The budget is kept with locks on the server, so the server is a real one.
func TestOneSentenceInAFleet(t *testing.T) {
	for name, c := range map[string]struct {
		size, budget int
		cause
	}{
		"fleet share": {6, 4, cause{verdict: pool.VerdictShare,
			want: "the fleet's budget leaves this replica 3 of 6 (4 for 1 replica), and that is not enough: run fewer replicas, or raise DB_FLEET_BUDGET or what the server allows"}},
		"too small": {2, 20, cause{verdict: pool.VerdictSmall,
			want: "N of 2 are in use and come back after about D, but more is asked of them (N wait): raise DB_POOL_SIZE or DB_MAX_OVERFLOW (the server has room for N more), or reduce load"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := inFleet(t, c.size, c.budget)
			s.use(20, "GET /busy", "select pg_sleep(0.5)")
			s.settle(t, c.cause)
			c.compare(t, s)
		})
	}
}

// settle waits until the log tells of the trouble, which must stand for 2 s.
func (s *stage) settle(t *testing.T, c cause) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 30*time.Second; wait(s.life, 100*time.Millisecond) {
		if d := s.Diagnose(); d.Verdict == c.verdict && strings.Contains(plain(warnings(s.log.String())), plain(d.Sentence)) {
			return
		}
	}
	t.Errorf("after 30 s: %+v", s.Diagnose())
}

func inFleet(t *testing.T, size, budget int) *stage {
	srv := pgtest.Start(t, pgtest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	s := &stage{log: &lockedBuffer{}, life: ctx}
	cfg := config.Default()
	cfg.Name, cfg.ApplicationName, cfg.PoolSize, cfg.MaxOverflow = "orders", "orders", size, 0
	cfg.DatabaseURL, cfg.Fleet, cfg.FleetBudget = config.DSN(srv.URL), config.FleetEnforce, config.Share(strconv.Itoa(budget))
	log := slog.New(slog.NewTextHandler(s.log, nil))
	p, err := pool.Open(cfg, pool.WithLogger(log))
	if err != nil {
		t.Fatal(err)
	}
	s.Pool, s.mon = p, monitor.New(p, monitor.WithLogger(log))
	done := make(chan error, 1)
	go func() { done <- s.mon.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
