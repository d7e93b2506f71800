package dbpoolprom

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
)

// A server that is really full shows as such, in the pool's own words.
func TestAFullServerShows(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_connections": "12"}})
	cfg := config.Default()
	srv.Exec(t, "create role app login")
	cfg.DatabaseURL = config.DSN(srv.DSN("postgres", "app", ""))
	p, err := pool.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	held, err := p.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	_, free := srv.FillSlots(t, 0)
	defer free()

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := p.ExecContext(ctx, "select 1"); !errors.Is(err, pool.ErrServerFull) {
		t.Fatalf("got %v, want ErrServerFull", err)
	}
	refusing := map[string]float64{}
	families := parse(t, scrape(t, registry(t, NewCollector(p))))
	for _, m := range families["dbpool_server_refusing"].GetMetric() {
		if v := m.GetGauge().GetValue(); v != 0 {
			refusing[label(m, "reason")] = v
		}
	}
	if len(refusing) != 1 || refusing["reserved slots"] != 1 {
		t.Errorf("refusing %v, want only reserved slots", refusing)
	}
	for _, m := range families["dbpool_acquires_total"].GetMetric() {
		if label(m, "result") == "timeout" && m.GetCounter().GetValue() != 1 {
			t.Errorf("%g timeouts, want 1", m.GetCounter().GetValue())
		}
	}
	if n := families["dbpool_dial_errors_total"].GetMetric()[0].GetCounter().GetValue(); n < 1 {
		t.Errorf("%g dials failed, want some", n)
	}
}
