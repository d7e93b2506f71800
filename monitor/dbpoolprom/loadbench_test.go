package dbpoolprom

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
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
	const turns, workers, scrapes = 10, 32, 10 * time.Millisecond
	p := openPool(b)
	h := handler(p)
	b.ResetTimer()
	var off, on cost
	for turn := range turns {
		n := max(b.N/turns, workers)
		if turn%2 == 0 {
			off.add(b, func() { query(b, p, n, workers) })
			continue
		}
		stop := scrapeEvery(b.Context(), h, scrapes)
		on.add(b, func() { query(b, p, n, workers) })
		stop()
	}
	b.ReportMetric(off.wall.Seconds()/on.wall.Seconds(), "throughput-on/off")
	b.ReportMetric(on.cpu.Seconds()/off.cpu.Seconds(), "cpu-on/off")
	b.ReportMetric(100*(on.cpu-off.cpu).Seconds()/on.wall.Seconds()/1500, "%core-every-15s")
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

// cost is what work took, in time and in CPU of this process.
type cost struct{ wall, cpu time.Duration }

func (c *cost) add(tb testing.TB, work func()) {
	tb.Helper()
	start, used := time.Now(), cpuTime(tb)
	work()
	c.wall += time.Since(start)
	c.cpu += cpuTime(tb) - used
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
