package dbpoolprom

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/cputime"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// BenchmarkUnderLoad runs the same queries on a saturated pool with and without
// a scraper that asks a hundred times a second, in turns, in one run. It
// reports the throughput with over the throughput without, and the CPU that
// this process spent per query, likewise. Prometheus asks every 15 seconds:
// the true cost is a 1500th of what shows here.
func BenchmarkUnderLoad(b *testing.B) {
	p := openPool(b)
	h := handler(p)
	core := inTurns(b, p, func() (stop func()) { return scrapeEvery(b.Context(), h, 10*time.Millisecond) })
	b.ReportMetric(core/1500, "%core-every-15s")
}

// inTurns runs b.N queries, half of them alone and half with something beside
// them, in turns, and reports how the two differ. It returns the difference in
// percent of a core.
func inTurns(b *testing.B, p *pool.Pool, beside func() (stop func())) (core float64) {
	b.Helper()
	const turns, workers = 10, 32
	b.ResetTimer()
	var off, on cputime.Cost
	for turn := range turns {
		n := max(b.N/turns, workers)
		if turn%2 == 0 {
			off.Add(b, func() { query(b, p, n, workers) })
			continue
		}
		stop := beside()
		on.Add(b, func() { query(b, p, n, workers) })
		stop()
	}
	b.ReportMetric(off.Wall.Seconds()/on.Wall.Seconds(), "throughput-on/off")
	b.ReportMetric(on.CPU.Seconds()/off.CPU.Seconds(), "cpu-on/off")
	return 100 * (on.CPU - off.CPU).Seconds() / on.Wall.Seconds()
}

func openPool(tb testing.TB) *pool.Pool {
	tb.Helper()
	cfg := config.Default()
	cfg.DatabaseURL = config.DSN(pgtest.Start(tb, pgtest.Options{}).URL)
	p, err := pool.Open(cfg, pool.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	if err := p.Ready(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return p
}

func handler(p Source) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(NewCollector(p))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// query runs n queries on workers that never pause.
func query(tb testing.TB, p *pool.Pool, n, workers int) {
	tb.Helper()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range n / workers {
				var one int
				if err := p.QueryRowContext(tb.Context(), "select 1").Scan(&one); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// scrapeEvery asks h until stopped; the stop waits.
func scrapeEvery(ctx context.Context, h http.Handler, interval time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := askEvery(ctx, h, "/metrics", interval)
	return func() { cancel(); <-done }
}
