package pool

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// countingTracer counts the statements that pgx tells of.
type countingTracer struct{ started, ended atomic.Int64 }

func (c *countingTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.started.Add(1)
	return ctx
}
func (c *countingTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {
	c.ended.Add(1)
}

// TestTracerSeesEveryFace gives pgx a tracer and wants it told of each statement
// once, whichever way it came.
func TestTracerSeesEveryFace(t *testing.T) {
	tracer := &countingTracer{}
	p := open(t, settled(pgtest.Shared(t).URL, 1, 0), WithConnConfig(func(cc *pgx.ConnConfig) { cc.Tracer = tracer }))
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	scan := func(row *sql.Row) error { return row.Scan(new(int)) }
	for face, run := range map[string]func() error{
		"Pool.Query": func() error { return scan(p.QueryRowContext(ctx, "select $1::int", 1)) },
		"Pool.Exec":  func() error { _, err := p.ExecContext(ctx, "select $1::int", 1); return err },
		"DB":         func() error { return scan(p.DB().QueryRowContext(ctx, "select $1::int", 1)) },
		"Session": func() error {
			return p.WithSession(ctx, func(ctx context.Context, s *Session) error { return scan(s.QueryRowContext(ctx, "select $1::int", 1)) })
		},
		"Conn": func() error {
			c, err := p.Conn(ctx)
			if err != nil {
				return err
			}
			return errors.Join(scan(c.QueryRowContext(ctx, "select $1::int", 1)), c.Close())
		},
	} {
		before := tracer.started.Load()
		if err := run(); err != nil {
			t.Errorf("%s: %v", face, err)
		}
		if n := tracer.started.Load() - before; n < 1 {
			t.Errorf("%s: the tracer was not told", face)
		}
	}
	before := tracer.started.Load()
	inParallel(40, func(int) { // most of them wait, and would share a connection
		for range 5 {
			if err := scan(p.QueryRowContext(ctx, "select $1::int", 1)); err != nil {
				t.Error(err)
			}
		}
	})
	if n := tracer.started.Load() - before; n < 200 {
		t.Errorf("the tracer was told of %d of 200 statements", n)
	}
	if tracer.started.Load() != tracer.ended.Load() {
		t.Errorf("%d began, %d ended", tracer.started.Load(), tracer.ended.Load())
	}
}

// TestConnConfigLeavesThePromises changes what is the pool's and wants no change.
func TestConnConfigLeavesThePromises(t *testing.T) {
	p := open(t, settled(pgtest.Shared(t).URL, 2, 0), WithConnConfig(func(cc *pgx.ConnConfig) {
		cc.ConnectTimeout = time.Nanosecond
		cc.DialFunc = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("past the limit") }
		cc.RuntimeParams["statement_timeout"], cc.RuntimeParams["application_name"] = "0", "stranger"
		cc.BuildFrontend, cc.BuildContextWatcherHandler = nil, nil
		cc.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	}))
	var timeout, name string
	if err := p.QueryRowContext(t.Context(), "select current_setting('statement_timeout'), current_setting('application_name')").Scan(&timeout, &name); err != nil || timeout != "30s" || name != "ours" {
		t.Errorf("%q, %q, %v", timeout, name, err)
	}
}

// TestAfterConnect prepares connections, and wants one that cannot be prepared to
// be closed and told of.
func TestAfterConnect(t *testing.T) {
	t.Parallel()
	srv := pgtest.Shared(t)
	var prepared atomic.Int64
	p := open(t, settled(srv.URL, 2, 0), WithAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		prepared.Add(1)
		_, err := c.Exec(ctx, "create temporary table made_ready ()")
		return err
	}))
	if _, err := p.ExecContext(t.Context(), "select from made_ready"); err != nil || prepared.Load() != 1 {
		t.Errorf("%d prepared, %v", prepared.Load(), err)
	}
	for says, prepare := range map[string]func(context.Context, *pgx.Conn) error{
		"not today": func(context.Context, *pgx.Conn) error { return errors.New("not today") },
		"left a transaction open": func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "begin")
			return err
		},
		"changed statement_timeout": func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "set statement_timeout = 0")
			return err
		},
	} {
		cfg := settled(srv.URL, 2, 0)
		cfg.PoolTimeout, cfg.ApplicationName = 2*time.Second, "refused"
		p := open(t, cfg, WithAfterConnect(prepare))
		err := p.PingContext(t.Context())
		if e := p.Stats().LastDialError; err == nil || e == nil || e.Reason != "after connect" || !strings.Contains(e.Message, says) {
			t.Errorf("%s: %v, %v", says, err, e)
		}
		until(t, 5*time.Second, "no session is left", func() bool { return srv.Sessions(t.Context(), "refused") == 0 })
	}
}

// TestConnector makes a *sql.DB of somebody else's, which keeps to the limit.
func TestConnector(t *testing.T) {
	srv := pgtest.Shared(t)
	p := open(t, settled(srv.URL, 2, 0))
	db := sql.OpenDB(p.Connector())
	defer db.Close()
	inParallel(8, func(int) {
		if _, err := db.ExecContext(t.Context(), "select pg_sleep(0.02)"); err != nil {
			t.Error(err)
		}
		if n := srv.Sessions(t.Context(), "ours"); n > 2 {
			t.Errorf("%d sessions", n)
		}
	})
}

// TestObservers tells each of several.
func TestObservers(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		if _, err := p.ExecContext(t.Context(), "select"); err != nil {
			t.Error(err)
		}
	}, WithObserver(nil))
	var s settings
	s.observer = nobody{}
	a, b := &seen{}, &seen{}
	WithObserver(a)(&s)
	WithObserver(nil)(&s)
	WithObserver(b)(&s)
	ctx := s.observer.AcquireStart(t.Context(), LaneRequest, "x")
	s.observer.AcquireEnd(ctx, LaneRequest, "x", 0, nil)
	s.observer.Released(LaneRequest, "x", 0)
	s.observer.Dialed(0, nil)
	if a.n != 4 || b.n != 4 || ctx.Value(a) == nil || ctx.Value(b) == nil {
		t.Errorf("%d and %d calls", a.n, b.n)
	}
}

// seen counts what it is told.
type seen struct{ n int }

func (s *seen) AcquireStart(ctx context.Context, _ Lane, _ string) context.Context {
	s.n++
	return context.WithValue(ctx, s, true)
}
func (s *seen) AcquireEnd(context.Context, Lane, string, time.Duration, error) { s.n++ }
func (s *seen) Released(Lane, string, time.Duration)                           { s.n++ }
func (s *seen) Dialed(time.Duration, error)                                    { s.n++ }
