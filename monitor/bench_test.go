package monitor

import (
	"log/slog"
	"net/http/httptest"
	"sync"
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
	h, r := m.PoolStatus(), httptest.NewRequest("GET", "/debug/pool-status?history=449", nil)
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	percentOfASecond(b, 0.5)
}

// hurry is how much more often than in life the monitor works in BenchmarkLoad,
// so that what it costs stands out from the noise.
const hurry = 100

// BenchmarkLoad runs statements through a full pool as fast as they go, in turns
// without and with a monitor and an open page that work a hundred times as often
// as they do in life. The server is a fake that answers at once. on/off is the
// ratio of the times; %cpu what is left of the difference at the true pace.
func BenchmarkLoad(b *testing.B) {
	src := fakesource.New(b)
	cfg := src.Config()
	cfg.PoolTimeout = time.Minute
	p, err := pool.New(src.DB, cfg, pool.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close() })
	m := New(p, WithLogger(slog.New(slog.DiscardHandler)))
	var off, on time.Duration
	for b.Loop() {
		off += timeLoad(b, p)
		stop := hurried(m)
		on += timeLoad(b, p)
		stop()
	}
	b.ReportMetric(on.Seconds()/off.Seconds(), "on/off")
	b.ReportMetric(100*(on.Seconds()/off.Seconds()-1)/hurry, "%cpu")
}

// timeLoad has 40 callers share ten connections.
func timeLoad(b *testing.B, p *pool.Pool) time.Duration {
	began := time.Now()
	var callers sync.WaitGroup
	for range 40 {
		callers.Go(func() {
			var doc string
			for range 250 {
				if err := p.QueryRowContext(b.Context(), "SELECT max_connections").Scan(&doc); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	return time.Since(began)
}

// hurried checks every 10 ms and asks for the page every 20, until it is stopped.
func hurried(m *Monitor) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	h := m.PoolStatus()
	go func() {
		defer close(done)
		tick := time.NewTicker(checkInterval / hurry)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			m.check()
			if i%2 == 0 {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/debug/pool-status?history=0", nil))
			}
		}
	}()
	return func() { close(quit); <-done }
}
