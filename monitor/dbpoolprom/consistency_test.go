package dbpoolprom

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// A scrape in the middle of work shows one moment: what it says of connections
// adds up, counters never fall, and at the end everything is accounted for.
func TestScrapesUnderLoadNeverContradict(t *testing.T) {
	const queries, workers = 4000, 32
	p := openPool(t)
	reg := registry(t, NewCollector(p))
	before := readScrape(t, reg).ok
	ctx, done := context.WithCancel(t.Context())
	go func() { defer done(); query(t, p, queries, workers) }()
	defer func() { <-ctx.Done() }()
	for last := before; ctx.Err() == nil; {
		s := readScrape(t, reg)
		if s.connections > s.limit || s.inUse > s.connections || s.lanes != s.inUse {
			t.Fatalf("%+v contradicts itself", s)
		}
		if s.ok < last {
			t.Fatalf("acquisitions fell from %g to %g", last, s.ok)
		}
		last = s.ok
	}
	if s := readScrape(t, reg); s.ok-before != queries || s.inUse != 0 {
		t.Errorf("after %d queries: %+v", queries, s)
	}
}

// seen is one scrape, as far as it can be checked against itself.
type seen struct{ connections, inUse, lanes, limit, ok float64 }

func readScrape(t *testing.T, reg *prometheus.Registry) (s seen) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch v := m.GetGauge().GetValue(); f.GetName() {
			case "dbpool_connections":
				s.connections += v
				if label(m, "state") == "in_use" {
					s.inUse = v
				}
			case "dbpool_lane_in_use_connections":
				s.lanes += v
			case "dbpool_limit_connections":
				s.limit = v
			case "dbpool_acquires_total":
				if label(m, "result") == "ok" {
					s.ok = m.GetCounter().GetValue()
				}
			}
		}
	}
	return s
}
