package dbpoolprom

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/monitor"
)

// BenchmarkTogether is all that an operator may switch on, at full load: the
// reporter with its probes at their own pace, and the page open in a browser, a
// load balancer's /health and Prometheus a hundred times as often as in life.
// %core is what that takes of one core, at the pace of life.
//
//	go test -run '^$' -bench Together -benchtime 100000x .
func BenchmarkTogether(b *testing.B) {
	const hurry = 100
	p := openPool(b)
	m := monitor.New(p, monitor.WithLogger(slog.New(slog.DiscardHandler)))
	core := inTurns(b, p, func() (stop func()) {
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = m.Run(ctx)
		}()
		page := askEvery(ctx, m.PoolStatus(), "/debug/pool-status?history=0", 2*time.Second/hurry)
		health := askEvery(ctx, m.Health(), "/health", time.Second/hurry)
		metrics := askEvery(ctx, handler(p), "/metrics", 15*time.Second/hurry)
		return func() {
			cancel()
			for _, done := range []<-chan struct{}{ended, page, health, metrics} {
				<-done
			}
		}
	})
	b.ReportMetric(core/hurry, "%core")
}

// askEvery sends a request again and again until ctx ends.
func askEvery(ctx context.Context, h http.Handler, path string, every time.Duration) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				h.ServeHTTP(discard{http.Header{}}, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
			}
		}
	}()
	return done
}
