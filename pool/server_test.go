package pool

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// versions runs a test on the machine's own PostgreSQL and on 18: the texts and
// the ways a server ends sessions changed in between.
func versions(t *testing.T, test func(t *testing.T, version int)) {
	for name, version := range map[string]int{"own": 0, "18": 18} {
		t.Run(name, func(t *testing.T) { test(t, version) })
	}
}

// settled are settings for tests: small, and in no hurry to replace anything.
func settled(dsn string, size, overflow int) config.Config {
	cfg := config.Default()
	cfg.DatabaseURL = config.DSN(dsn)
	cfg.ApplicationName = "ours"
	cfg.PoolSize, cfg.MaxOverflow = size, overflow
	cfg.PoolTimeout = 10 * time.Second
	cfg.PoolRecycle = time.Hour
	return cfg
}

// open opens a pool for the length of the test, at the end of which everything
// that was opened has been closed.
func open(t testing.TB, cfg config.Config, opts ...Option) *Pool {
	t.Helper()
	p, err := Open(cfg, append([]Option{WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		s := p.Stats()
		if s.InUse+s.Idle+s.Dialing+s.Closing != 0 || s.OpenedCount != s.Closed.Total() {
			t.Errorf("after Close: in use %d, idle %d, dialing %d, closing %d; opened %d, closed %d",
				s.InUse, s.Idle, s.Dialing, s.Closing, s.OpenedCount, s.Closed.Total())
		}
	})
	return p
}

// inParallel runs work n times at once and waits for all of them.
func inParallel(n int, work func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { work(i) })
	}
	wg.Wait()
}

// sampler counts the sessions of an application on the server, as often as the
// server answers, and remembers the most.
type sampler struct {
	stop context.CancelFunc
	done chan struct{}
	most map[string]int
}

func sample(t testing.TB, srv *pgtest.Server, applications ...string) *sampler {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &sampler{stop: cancel, done: make(chan struct{}), most: map[string]int{}}
	go func() {
		defer close(s.done)
		for ctx.Err() == nil {
			for _, name := range applications {
				s.most[name] = max(s.most[name], srv.Sessions(ctx, name))
			}
		}
	}()
	t.Cleanup(func() { s.peak("") })
	return s
}

// peak ends the sampling and returns the most sessions seen at once.
func (s *sampler) peak(application string) int {
	s.stop()
	<-s.done
	return s.most[application]
}

func TestSmoke(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	p := open(t, settled(srv.URL, 2, 3))
	s := sample(t, srv, "ours")
	inParallel(20, func(i int) {
		for range 200 {
			var n int
			if err := p.QueryRowContext(t.Context(), "select $1::int", i).Scan(&n); err != nil || n != i {
				t.Error(n, err)
			}
		}
	})
	t.Logf("%d %+v", s.peak("ours"), p.Stats())
}
