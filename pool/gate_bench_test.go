package pool

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// gateOnly returns a pool whose size connections do not exist.
func gateOnly(b *testing.B, size int) *Pool {
	return gateWith(b, size, 100*365*24*time.Hour) // nobody is refused
}

func gateWith(b *testing.B, size int, timeout time.Duration) *Pool {
	cfg := config.Default()
	cfg.PoolSize, cfg.MaxOverflow, cfg.PoolTimeout = size, 0, timeout
	p := newPool(cfg, newSettings(nil))
	setConns(b, p.gate, size)
	return p
}

func BenchmarkGateUncontended(b *testing.B) {
	p := gateOnly(b, 10)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		k, err := p.enter(ctx)
		if err != nil {
			b.Fatal(err)
		}
		p.leave(k)
	}
}

// BenchmarkGateRefusal refuses a caller that cannot be served in time, error
// and figures included.
func BenchmarkGateRefusal(b *testing.B) {
	p := gateWith(b, 1, time.Millisecond)
	if k, err := p.enter(b.Context()); err != nil {
		b.Fatal(err)
	} else {
		time.Sleep(20 * time.Millisecond) // which is what others are expected to need
		p.leave(k)
	}
	if _, err := p.enter(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.enter(b.Context()); err == nil {
			b.Fatal("served")
		}
	}
}

// BenchmarkGateHandover passes one connection from waiter to waiter.
func BenchmarkGateHandover(b *testing.B) {
	p := gateOnly(b, 10)
	b.SetParallelism(500)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k, err := p.enter(b.Context())
			if err != nil {
				b.Error(err)
				return
			}
			p.leave(k)
		}
	})
}

const crowdSize = 100_000

// BenchmarkWaiters has 100,000 callers wait, half of whom leave in random order
// before the others are served. It reports what each of them costs.
func BenchmarkWaiters(b *testing.B) {
	for b.Loop() {
		p := gateOnly(b, 1)
		held, err := p.enter(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancels := b.Context(), make([]context.CancelFunc, crowdSize)
		var done sync.WaitGroup
		before := memory()
		started := time.Now()
		for i := range cancels {
			var own context.Context
			own, cancels[i] = context.WithCancel(ctx)
			done.Go(func() {
				if k, err := p.enter(own); err == nil {
					p.leave(k)
				}
			})
		}
		for p.Stats().Waiting < crowdSize {
			runtime.Gosched()
		}
		b.ReportMetric(float64(time.Since(started).Nanoseconds())/crowdSize, "ns/arrival")
		heap, stacks := memory().minus(before)
		b.ReportMetric(heap/crowdSize, "heap-B/waiter")
		b.ReportMetric(stacks/crowdSize, "stack-B/waiter")

		started = time.Now()
		for _, i := range rand.Perm(crowdSize)[:crowdSize/2] {
			cancels[i]()
		}
		for p.Stats().Waiting > crowdSize/2 {
			runtime.Gosched()
		}
		b.ReportMetric(float64(time.Since(started).Nanoseconds())/(crowdSize/2), "ns/departure")

		started = time.Now()
		p.leave(held)
		done.Wait()
		b.ReportMetric(float64(time.Since(started).Nanoseconds())/(crowdSize/2), "ns/handover")
		for _, cancel := range cancels {
			cancel()
		}
	}
}

type memoryUse struct{ heap, stacks uint64 }

func memory() memoryUse {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memoryUse{m.HeapAlloc, m.StackInuse}
}

func (m memoryUse) minus(before memoryUse) (heap, stacks float64) {
	return float64(m.heap) - float64(before.heap), float64(m.stacks) - float64(before.stacks)
}
