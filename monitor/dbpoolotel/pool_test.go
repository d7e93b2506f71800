package dbpoolotel

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

var _ pool.Observer = (*Observer)(nil)

// What a pool tells its observer is what its own figures say, and a caller that
// gets no connection has a span that says why.
func TestRealPool(t *testing.T) {
	const queries = 20
	r, mp := reader(t)
	rec, tp := tracing(t)
	p := openPool(t, observer(t, WithMeterProvider(mp), WithTracerProvider(tp)))
	register(t, p, mp)
	for range queries {
		if _, err := p.ExecContext(pool.ContextWithName(t.Context(), "GET /orders"), "select 1"); err != nil {
			t.Fatal(err)
		}
	}
	timeOut(t, p)

	s, got := p.Stats(), collect(t, r)
	for name, want := range map[string]uint64{
		waitTime().name: s.AcquireCount, useTime().name: s.AcquireCount, createTime().name: s.OpenedCount,
	} {
		if n := recorded(t, got[name]); n != want || n == 0 {
			t.Errorf("%s has %d observations, want %d", name, n, want)
		}
	}
	byError := map[string]int{}
	for _, span := range rec.Ended() {
		attrs := attributesOf(span)
		byError[attrs[attrErrorType]]++
		if attrs[attrPoolName] != "orders" {
			t.Errorf("span of pool %q", attrs[attrPoolName])
		}
	}
	if want := map[string]int{"": int(s.AcquireCount), "timeout": 1}; !maps.Equal(byError, want) {
		t.Errorf("spans by error %v, want %v", byError, want)
	}
	if v, _ := value(t, got["db.client.connection.timeouts"], "", ""); v != 1 {
		t.Errorf("%g timeouts, want 1", v)
	}
}

func openPool(t *testing.T, o *Observer) *pool.Pool {
	t.Helper()
	cfg := config.Default()
	cfg.Name, cfg.PoolSize, cfg.MaxOverflow = "orders", 1, 0
	cfg.DatabaseURL = config.DSN(pgtest.Start(t, pgtest.Options{}).URL)
	p, err := pool.Open(cfg, pool.WithObserver(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// timeOut asks for a connection while the only one is held.
func timeOut(t *testing.T, p *pool.Pool) {
	t.Helper()
	held, err := p.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.ExecContext(ctx, "select 1"); !errors.Is(err, pool.ErrPoolTimeout) {
		t.Fatalf("got %v, want no connection in time", err)
	}
}

func recorded(t *testing.T, m metricdata.Metrics) (n uint64) {
	t.Helper()
	h, ok := m.Data.(metricdata.Histogram[float64])
	if !ok {
		t.Fatalf("%s is a %T", m.Name, m.Data)
	}
	for _, p := range h.DataPoints {
		n += p.Count
	}
	return n
}
