package dbpoolprom

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// BenchmarkScrape is the cost of one scrape through the handler, text encoding
// included, and the share of one core that it takes every 15 seconds.
func BenchmarkScrape(b *testing.B) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(NewCollector(&fixed{stats: busy()}, known()))
	h := promhttp.HandlerFor(reg, promhttp.HandlerOpts{DisableCompression: true})
	req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(discard{http.Header{}}, req)
	}
	b.ReportMetric(100*float64(b.Elapsed())/float64(b.N)/float64(15*time.Second), "%core-every-15s")
}

// discard is a client that throws the answer away.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (d discard) WriteHeader(int)             {}
