package monitor

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/monitor/internal/fakesource"
	"github.com/dbpool-go/dbpool/pool"
)

// busy is a fake pool with something to tell.
func busy(b *testing.B) *fakesource.Source {
	src := fakesource.New(b)
	src.Set(func(s *pool.Stats) {
		s.InUse, s.Waiting, s.Leaking = 9, 4, 1
		for i := range s.Wait.Counts {
			s.Wait.Counts[i], s.Hold.Counts[i] = uint64(i), uint64(2*i)
			s.Wait.Count += uint64(i)
			s.Hold.Count += uint64(2 * i)
		}
	})
	holders := make([]pool.Holder, 10)
	for i := range holders {
		holders[i] = pool.Holder{Name: "GET /orders", Caller: "api/orders.go:57", Held: time.Second, Activity: "running"}
	}
	src.Hold(holders...)
	return src
}

// percentOfASecond reports what an operation costs that happens so often.
func percentOfASecond(b *testing.B, perSecond float64) {
	b.ReportMetric(100*perSecond*b.Elapsed().Seconds()/float64(b.N), "%cpu")
}

// BenchmarkCheck is what the monitor does once a second.
func BenchmarkCheck(b *testing.B) {
	m := New(busy(b), WithLogger((&logbook{}).logger()))
	for b.Loop() {
		m.check()
	}
	percentOfASecond(b, 1/checkInterval.Seconds())
}

// BenchmarkHealth is one request of a load balancer.
func BenchmarkHealth(b *testing.B) {
	m := New(busy(b), WithLogger((&logbook{}).logger()))
	h, r := m.Health(), httptest.NewRequest("GET", "/health", nil)
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	percentOfASecond(b, 1)
}

// BenchmarkPage is what one open page asks for every two seconds.
func BenchmarkPage(b *testing.B) {
	m := New(busy(b), WithLogger((&logbook{}).logger()))
	at := time.Now()
	for range historyKept {
		at = at.Add(historyStep)
		m.conclude(look{at: at, cfg: m.pool.Config(), stats: m.pool.Stats()})
	}
	m.mu.Lock()
	m.history.next += 0
	m.mu.Unlock()
	h, r := m.PoolStatus(), httptest.NewRequest("GET", "/debug/pool-status?history=449", nil)
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	percentOfASecond(b, 0.5)
}

// BenchmarkLoad runs statements as fast as they go, without and with a monitor
// that checks and probes a hundred times as often as it does by default, and a
// page that is open. The fake server answers at once, so that what the monitor
// costs shows as much as it ever can.
func BenchmarkLoad(b *testing.B) {
	for _, on := range []bool{false, true} {
		name := map[bool]string{false: "off", true: "on"}[on]
		b.Run(name, func(b *testing.B) {
			src := fakesource.New(b)
			if on {
				watchClosely(b, src)
			}
			var doc string
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := src.QueryRowContext(b.Context(), "SELECT max_connections").Scan(&doc); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func watchClosely(b *testing.B, src *fakesource.Source) {
	m := New(src, WithLogger((&logbook{}).logger()), WithProbe(5*time.Second, time.Second))
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	viewed := make(chan struct{})
	go func() {
		defer close(viewed)
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			m.PoolStatus().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?history=0", nil))
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	b.Cleanup(func() {
		cancel()
		<-viewed
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
}
