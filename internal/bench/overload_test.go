package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
)

// BenchmarkOverload offers more than ten connections can serve, in an open
// loop: requests arrive whatever became of those before, each with a deadline.
// What counts is how many are answered in time, as a part of what the same
// connections answer without overload.
func BenchmarkOverload(b *testing.B) {
	for _, times := range []float64{1.5, 3} {
		for _, deadline := range []time.Duration{200 * time.Millisecond, time.Second} {
			o := overload{times, deadline}
			b.Run(fmt.Sprintf("%gx/%s", times, deadline), o.run)
		}
	}
}

type overload struct {
	times    float64 // of the capacity
	deadline time.Duration
}

const (
	work = "select pg_sleep(0.01)"

	overloadWarmUp = 1500 * time.Millisecond // until queues have their length
	overloadLength = 3 * time.Second         // that is measured after it
)

func (o overload) run(b *testing.B) {
	srv := pgtest.Start(b, pgtest.Options{})
	t := newTable(b, fmt.Sprintf("%gx capacity, %s deadline", o.times, o.deadline), "capacity/s", "good/s", "goodput", "refused", "after (p50)", "failed late", "after (p50)")
	for _, c := range contenders(b, srv.URL, 10) {
		capacity := capacity(b, c)
		r := o.offer(b, c, capacity*o.times)
		good := float64(r.good.Load()) / overloadLength.Seconds()
		refused, late := sorted(r.refused), sorted(r.late)
		t.row(c.name, fmt.Sprintf("%.0f", capacity), fmt.Sprintf("%.0f", good), fmt.Sprintf("%.1f%%", 100*good/capacity),
			fmt.Sprint(len(refused)), round(refused.quantile(0.5)), fmt.Sprint(len(late)), round(late.quantile(0.5)))
		t.metric(c, 100*good/capacity, "goodput-%")
		if len(refused) > 0 {
			t.metric(c, float64(refused.quantile(0.5).Nanoseconds())/1000, "refusal-µs")
		}
	}
	t.print()
}

// capacity is how many requests per second ten connections serve at their best.
func capacity(b *testing.B, c contender) float64 {
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
	defer cancel()
	var n atomic.Int64
	var workers sync.WaitGroup
	begin := time.Now()
	for range 20 {
		workers.Go(func() {
			for ctx.Err() == nil {
				if c.query(ctx, work) == nil && time.Since(begin) > time.Second {
					n.Add(1)
				}
			}
		})
	}
	workers.Wait()
	return float64(n.Load())
}

// results of an overload, as far as they fall into the time that is measured.
type results struct {
	good atomic.Int64

	mu      sync.Mutex
	refused []time.Duration // ErrOverloaded
	late    []time.Duration // any other error
}

// offer has perSecond requests arrive every second, for a while.
func (o overload) offer(b *testing.B, c contender, perSecond float64) *results {
	r := &results{}
	var requests sync.WaitGroup
	begin, sent := time.Now(), 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		passed := now.Sub(begin)
		if passed > overloadWarmUp+overloadLength {
			break
		}
		for ; sent < int(passed.Seconds()*perSecond); sent++ {
			requests.Go(func() { o.request(b, c, r, begin) })
		}
	}
	requests.Wait()
	return r
}

func (o overload) request(b *testing.B, c contender, r *results, begin time.Time) {
	ctx, cancel := context.WithTimeout(b.Context(), o.deadline)
	defer cancel()
	started := time.Now()
	err := c.query(ctx, work)
	took := time.Since(started)
	if at := time.Since(begin); at < overloadWarmUp || at > overloadWarmUp+overloadLength {
		return
	}
	if err == nil && took <= o.deadline {
		r.good.Add(1)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, pool.ErrOverloaded) {
		r.refused = append(r.refused, took)
	} else {
		r.late = append(r.late, took)
	}
}
