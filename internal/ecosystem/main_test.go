package ecosystem

import (
	"context"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	pgtest.Main(m, func() error { return goleak.Find() })
}

// open returns a pool of size+overflow connections on a database of its own. Its
// name tells the server's sessions of this test from those of others.
func open(t *testing.T, size, overflow int, change ...func(*config.Config)) *pool.Pool {
	t.Helper()
	cfg := config.Default()
	cfg.DatabaseURL = config.DSN(pgtest.Shared(t).URL)
	cfg.Name, cfg.PoolSize, cfg.MaxOverflow = t.Name(), size, overflow
	for _, f := range change {
		f(&cfg)
	}
	p, err := pool.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s := p.Stats(); s.InUse != 0 {
			t.Errorf("%d connections were not given back: %+v", s.InUse, p.Holders(0))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// waitFor waits until ok, for what another goroutine brings about on a real server.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not come about in 30s: %s", what)
		}
	}
}

func execute(t *testing.T, p *pool.Pool, query string) {
	t.Helper()
	if _, err := p.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, p *pool.Pool, query string) (n int) {
	t.Helper()
	if err := p.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
