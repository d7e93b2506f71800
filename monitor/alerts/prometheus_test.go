package alerts

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/monitor/dbpoolprom"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	promvalue "github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
)

// service is what is scraped: a pool whose figures the test moves.
type service struct {
	stats   pool.Stats
	view    serverview.View
	gone    bool         // nobody answers
	metrics http.Handler // what /metrics is served by
}

func newService(stats pool.Stats, view serverview.View) *service {
	s, reg := &service{stats: stats, view: view}, prometheus.NewRegistry()
	reg.MustRegister(dbpoolprom.NewCollector(s, dbpoolprom.WithServerView(s.serverView)))
	s.metrics = promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true, DisableCompression: true})
	return s
}

func (s *service) Stats() pool.Stats                   { return s.stats }
func (s *service) serverView() (serverview.View, bool) { return s.view, true }

// scrape returns what the service's /metrics answers, as OpenMetrics.
func (s *service) scrape(t *testing.T) (text []byte, contentType string) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := httptest.NewRecorder()
	s.metrics.ServeHTTP(w, req)
	return w.Body.Bytes(), w.Header().Get("Content-Type")
}

// sample is one line of a scrape.
type sample struct {
	labels labels.Labels
	value  float64
}

// parse reads a scrape with the parser that Prometheus scrapes with.
func parse(t *testing.T, text []byte, contentType string) (samples []sample) {
	t.Helper()
	p, err := textparse.New(text, contentType, nil, textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return samples
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var s sample
		p.Labels(&s.labels)
		_, _, s.value = p.Series()
		samples = append(samples, s)
	}
}

// server is a Prometheus in virtual time: storage, engine and rules, no loops.
type server struct {
	storage *teststorage.TestStorage
	query   rules.QueryFunc
	groups  []*rules.Group
}

func newServer(t *testing.T) *server {
	t.Helper()
	store := teststorage.New(t)
	engine := promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
		MaxSamples: 1e6, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
	})
	s := &server{storage: store, query: rules.EngineQueryFunc(engine, store)}
	manager := rules.NewManager(&rules.ManagerOptions{
		Context: t.Context(), Logger: slog.New(slog.DiscardHandler),
		Appendable: store, Queryable: store, QueryFunc: s.query,
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
	})
	byName, errs := manager.LoadGroups(scrapeInterval, labels.EmptyLabels(), "", nil, false, rulesFile)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, g := range byName {
		s.groups = append(s.groups, g)
	}
	return s
}

// scrape stores what svc shows at the moment, and evaluates the rules.
func (s *server) scrape(t *testing.T, svc *service, at time.Time) {
	t.Helper()
	app := s.storage.AppenderV2(t.Context())
	for _, sm := range func() []sample { text, contentType := svc.scrape(t); return parse(t, text, contentType) }() {
		b := labels.NewBuilder(sm.labels)
		b.Set("job", "shop").Set("instance", "shop-1:8080")
		value := sm.value
		if svc.gone {
			value = math.Float64frombits(promvalue.StaleNaN) // what a scrape that fails leaves
		}
		if _, err := app.Append(0, b.Labels(), 0, at.UnixMilli(), value, nil, nil, storage.AppendV2Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, g := range s.groups {
		g.Eval(t.Context(), at)
		for _, r := range g.Rules() {
			if err := r.LastError(); err != nil {
				t.Fatalf("%s: %v", r.Name(), err)
			}
		}
	}
}

// firing returns the alerts that fire now, by name.
func (s *server) firing() map[string]*rules.Alert {
	out := map[string]*rules.Alert{}
	for _, g := range s.groups {
		for _, r := range g.AlertingRules() {
			for _, a := range r.ActiveAlerts() {
				if a.State == rules.StateFiring {
					out[r.Name()] = a
				}
			}
		}
	}
	return out
}

// ask evaluates one query.
func (s *server) ask(t *testing.T, expr string, at time.Time) promql.Vector {
	t.Helper()
	answer, err := s.query(t.Context(), expr, at)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return answer
}
