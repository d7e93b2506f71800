package ecosystem

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"testing"

	"github.com/XSAM/otelsql"
	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
)

// recorder is a provider of traces that keeps them.
func recorder(t *testing.T) (*sdktrace.TracerProvider, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	t.Cleanup(func() {
		if err := provider.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return provider, spans
}

// Example_tracing is what docs/libraries.md shows: otelpgx with its own defaults.
func Example_tracing() {
	cfg := config.Default()
	cfg.DatabaseURL = "postgres://app@localhost/orders"
	p, err := pool.Open(cfg, pool.WithConnConfig(func(cc *pgx.ConnConfig) { cc.Tracer = otelpgx.NewTracer() }))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Close())
	// Output: <nil>
}

// otelpgx is a tracer of pgx's, so it is told of every statement, whichever face
// it came by, as a child of the caller's span.
func TestOtelpgxSeesEveryFace(t *testing.T) {
	provider, spans := recorder(t)
	cfg := config.Default()
	cfg.DatabaseURL, cfg.Name = config.DSN(pgtest.Shared(t).URL), t.Name()
	p, err := pool.Open(cfg, pool.WithConnConfig(func(cc *pgx.ConnConfig) {
		cc.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(provider))
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for face, run := range map[string]func(context.Context) error{
		"Pool": func(ctx context.Context) error { _, err := p.ExecContext(ctx, "select $1::int", 1); return err },
		"DB":   func(ctx context.Context) error { _, err := p.DB().ExecContext(ctx, "select $1::int", 1); return err },
		"Session": func(ctx context.Context) error {
			return p.WithSession(ctx, func(ctx context.Context, s *pool.Session) error {
				_, err := s.ExecContext(ctx, "select $1::int", 1)
				return err
			})
		},
		"Conn": func(ctx context.Context) error {
			c, err := p.Conn(ctx)
			if err != nil {
				return err
			}
			_, err = c.ExecContext(ctx, "select $1::int", 1)
			return errors.Join(err, c.Close())
		},
		"Background": func(ctx context.Context) error {
			return p.Background(ctx, "task", func(ctx context.Context, s *pool.Session) error {
				_, err := s.ExecContext(ctx, "select $1::int", 1)
				return err
			}).Wait(ctx)
		},
	} {
		ctx, parent := provider.Tracer("test").Start(t.Context(), face)
		if err := run(ctx); err != nil {
			t.Errorf("%s: %v", face, err)
		}
		parent.End()
		found := false
		for _, s := range spans.Ended() {
			found = found || s.Parent().SpanID() == parent.SpanContext().SpanID() && s.Name() == "SELECT"
		}
		if !found {
			t.Errorf("%s: no span of the statement among %v", face, names(spans))
		}
	}
}

// otelsql wraps the connector, so its *sql.DB goes through the gate. The driver
// behind DB is pgx's own, which knows of no gate.
func TestOtelsqlWrapsTheConnector(t *testing.T) {
	provider, spans := recorder(t)
	p := open(t, 1, 0)
	db := otelsql.OpenDB(p.Connector(), otelsql.WithTracerProvider(provider))
	defer db.Close()
	ctx, parent := provider.Tracer("test").Start(t.Context(), "request")
	if _, err := db.ExecContext(ctx, "select $1::int", 1); err != nil {
		t.Error(err)
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := p.Stats().InUse; n != 1 {
		t.Errorf("%d in use: it goes past the gate", n)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	parent.End()
	want := map[string]bool{"sql.conn.exec": false, "sql.conn.begin_tx": false, "sql.tx.commit": false}
	for _, s := range spans.Ended() {
		if _, ok := want[s.Name()]; ok && s.SpanContext().TraceID() == parent.SpanContext().TraceID() {
			want[s.Name()] = true
		}
	}
	if d, ok := p.DB().Driver().(*stdlib.Driver); !ok {
		t.Errorf("the driver is a %T", d)
	}
	for name, seen := range want {
		if !seen {
			t.Errorf("no span %s among %v", name, names(spans))
		}
	}
}

func names(r *tracetest.SpanRecorder) (all []string) {
	for _, s := range r.Ended() {
		all = append(all, s.Name())
	}
	return all
}
