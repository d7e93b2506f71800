package dbpoolotel

import (
	"log/slog"
	"sync"
	"testing"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/cputime"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

// BenchmarkUnderLoad runs the same queries on a saturated pool with and without
// an observer, in turns, in one run. It reports the throughput with over the
// throughput without, and the CPU that this process spent per query, likewise.
// The shortest possible statements on loopback are the worst case: the
// observer's price is per acquisition, whatever the statement costs.
func BenchmarkUnderLoad(b *testing.B) {
	const turns, workers = 20, 32
	o, err := NewObserver("db", WithMeterProvider(sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader()))))
	if err != nil {
		b.Fatal(err)
	}
	srv := pgtest.Start(b, pgtest.Options{})
	bare, observed := openBench(b, srv), openBench(b, srv, pool.WithObserver(o))
	var off, on cputime.Cost
	b.ResetTimer()
	for turn := range turns {
		n := max(b.N/turns, workers)
		if turn%2 == 0 {
			off.Add(b, func() { query(b, bare, n, workers) })
		} else {
			on.Add(b, func() { query(b, observed, n, workers) })
		}
	}
	b.ReportMetric(off.Wall.Seconds()/on.Wall.Seconds(), "throughput-on/off")
	b.ReportMetric(on.CPU.Seconds()/off.CPU.Seconds(), "cpu-on/off")
	b.ReportMetric(float64((on.CPU-off.CPU).Nanoseconds())/float64(b.N/2), "ns-cpu/query")
}

func openBench(b *testing.B, srv *pgtest.Server, opts ...pool.Option) *pool.Pool {
	b.Helper()
	cfg := config.Default()
	cfg.DatabaseURL = config.DSN(srv.URL)
	p, err := pool.Open(cfg, append(opts, pool.WithLogger(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close() })
	query(b, p, 1000, 32) // open every connection before the clock runs
	return p
}

// query runs n queries on workers that never pause.
func query(b *testing.B, p *pool.Pool, n, workers int) {
	b.Helper()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range n / workers {
				var one int
				if err := p.QueryRowContext(b.Context(), "select 1").Scan(&one); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
