package bench

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// BenchmarkFairness has many goroutines share ten connections, each asking
// again as soon as it was served. With equal treatment all wait equally long:
// the 99th percentile is close to the median.
func BenchmarkFairness(b *testing.B) {
	for _, f := range []fairness{{1_000, time.Second, 3 * time.Second}, {10_000, 4 * time.Second, 6 * time.Second}} {
		b.Run(fmt.Sprint(f.goroutines), f.run)
	}
}

type fairness struct {
	goroutines    int
	warmUp, after time.Duration // everybody has been served once after warmUp
}

func (f fairness) run(b *testing.B) {
	srv := pgtest.Start(b, pgtest.Options{})
	t := newTable(b, fmt.Sprintf("%d goroutines, 10 connections, 2 ms", f.goroutines), "p50", "p99", "max", "p99/p50", "queries/s")
	for _, c := range contenders(b, srv.URL, 10) {
		l := sorted(f.measure(b, c))
		p50, p99 := l.quantile(0.5), l.quantile(0.99)
		ratio := float64(p99) / float64(p50)
		t.row(c.name, round(p50), round(p99), round(l.quantile(1)), fmt.Sprintf("%.2f", ratio), fmt.Sprintf("%.0f", float64(len(l))/f.after.Seconds()))
		t.metric(c, ratio, "p99/p50")
		t.metric(c, p99.Seconds(), "p99-s")
	}
	t.print()
}

// measure returns how long the queries took that ended after the warm-up.
func (f fairness) measure(b *testing.B, c contender) []time.Duration {
	ctx, cancel := context.WithCancel(b.Context()) // not a deadline: nobody is to be refused
	defer time.AfterFunc(f.warmUp+f.after, cancel).Stop()
	var mu sync.Mutex
	var all []time.Duration
	begin := time.Now()
	var workers sync.WaitGroup
	for range f.goroutines {
		workers.Go(func() {
			var own []time.Duration
			for ctx.Err() == nil {
				started := time.Now()
				if c.query(ctx, "select pg_sleep(0.002)") == nil && time.Since(begin) > f.warmUp {
					own = append(own, time.Since(started))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	workers.Wait()
	return all
}
