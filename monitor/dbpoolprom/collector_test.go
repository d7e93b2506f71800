package dbpoolprom

import (
	"database/sql"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/dbpool-go/dbpool/pool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var update = flag.Bool("update", false, "rewrite testdata and the document's table from the code")

// scrape asks a real handler over a real connection and returns its text.
func scrape(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	srv := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("scrape: %v, status %d: %s", err, resp.StatusCode, body)
	}
	return string(body)
}

// parse reads the text as Prometheus does.
func parse(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// registry refuses collectors whose Collect disagrees with their Describe.
func registry(t *testing.T, cs ...prometheus.Collector) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	for _, c := range cs {
		if err := reg.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	return reg
}

func TestScrapeText(t *testing.T) {
	src := &fixed{stats: busy()}
	got := scrape(t, registry(t, NewCollector(src)))
	parse(t, got)
	const golden = "testdata/scrape.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		if i >= len(gotLines) || i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("from line %d on the scrape is not %s (run with -update and read the difference):\n%s",
				i+1, golden, strings.Join(gotLines[min(i, len(gotLines)):min(i+3, len(gotLines))], "\n"))
		}
	}
}

func TestOneSnapshotPerScrape(t *testing.T) {
	src := &fixed{stats: busy()}
	reg := registry(t, NewCollector(src))
	src.calls.Store(0)
	scrape(t, reg)
	if n := src.calls.Load(); n != 1 {
		t.Errorf("one scrape took %d snapshots; figures of different moments contradict each other", n)
	}
}

func TestHistogramBuckets(t *testing.T) {
	families := parse(t, scrape(t, registry(t, NewCollector(&fixed{stats: busy()}))))
	h := families["dbpool_wait_seconds"].GetMetric()[0].GetHistogram()
	bounds := pool.HistogramBounds()
	if got, want := len(h.GetBucket()), len(bounds)+1; got != want { // and +Inf
		t.Fatalf("%d buckets, want %d", got, want)
	}
	for i, want := range []struct {
		bucket     int
		cumulative uint64
	}{{2, 0}, {3, 700}, {9, 700}, {10, 1000}, {len(bounds), 1000}} {
		if got := h.GetBucket()[want.bucket].GetCumulativeCount(); got != want.cumulative {
			t.Errorf("case %d: bucket %d counts %d, want %d", i, want.bucket, got, want.cumulative)
		}
	}
	if got, want := h.GetBucket()[3].GetUpperBound(), bounds[3].Seconds(); got != want {
		t.Errorf("bound %g, want %g", got, want)
	}
	if h.GetSampleCount() != 1000 || h.GetSampleSum() != 60 {
		t.Errorf("count %d sum %g, want 1000 and 60", h.GetSampleCount(), h.GetSampleSum())
	}
}

func TestSeveralPoolsShareARegistry(t *testing.T) {
	orders, reports := busy(), busy()
	reports.Name = "reports"
	reg := registry(t, NewCollector(&fixed{stats: orders}), NewCollector(&fixed{stats: reports}))
	got := map[string]bool{}
	for _, m := range parse(t, scrape(t, reg))["dbpool_limit_connections"].GetMetric() {
		got[label(m, "pool")] = true
	}
	if len(got) != 2 || !got["orders"] || !got["reports"] {
		t.Errorf("pools %v, want orders and reports", got)
	}
}

func TestSameNameIsRefusedUntilRenamed(t *testing.T) {
	reg := registry(t, NewCollector(&fixed{stats: busy()}))
	err := reg.Register(NewCollector(&fixed{stats: busy()}))
	if !errors.As(err, &prometheus.AlreadyRegisteredError{}) {
		t.Errorf("second collector of one name: %v, want AlreadyRegisteredError", err)
	}
	if err := reg.Register(NewCollector(&fixed{stats: busy()}, WithPoolName("replica"))); err != nil {
		t.Errorf("under another name: %v", err)
	}
	scrape(t, reg)
}

// A service may have other databases under client_golang's own collector: the
// registry must take both, and an existing dashboard must find the same names.
func TestBesideClientGolangsCollector(t *testing.T) {
	db, err := sql.Open("pgx", "postgres://127.0.0.1:1/other")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	theirs := prometheus.NewRegistry()
	theirs.MustRegister(collectors.NewDBStatsCollector(db, "orders"))
	want, err := theirs.Gather()
	if err != nil {
		t.Fatal(err)
	}
	reg := registry(t, NewCollector(&fixed{stats: busy()}), collectors.NewDBStatsCollector(db, "other"))
	got := parse(t, scrape(t, reg))
	for _, f := range want {
		ours := got[f.GetName()]
		if ours == nil || ours.GetType() != f.GetType() || ours.GetHelp() != f.GetHelp() || len(ours.GetMetric()) != 2 {
			t.Errorf("%s: got %v, want the type and help of %v, for both databases", f.GetName(), ours, f)
		}
	}
}

func TestWithoutGoSQL(t *testing.T) {
	for name := range parse(t, scrape(t, registry(t, NewCollector(&fixed{stats: busy()}, WithoutGoSQL())))) {
		if !strings.HasPrefix(name, "dbpool_") {
			t.Errorf("%s exported", name)
		}
	}
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
