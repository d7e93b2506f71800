package pool

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// pooled runs a test behind PgBouncer in transaction mode, with few server sessions.
func pooled(t *testing.T, settings map[string]string, test func(t *testing.T, srv *pgtest.Server, b *pgtest.PgBouncer)) {
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		all := map[string]string{"default_pool_size": "4"}
		for name, value := range settings {
			all[name] = value
		}
		test(t, srv, pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{Settings: all}))
	})
}

// TestPoolerFoundOut opens an unchanged configuration behind a pooler that
// refuses its startup parameters.
func TestPoolerFoundOut(t *testing.T) {
	t.Parallel()
	pooled(t, nil, func(t *testing.T, srv *pgtest.Server, b *pgtest.PgBouncer) {
		log := &logLines{}
		p := open(t, settled(b.URL, 5, 5), WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
		behave(t, p, b)
		wantPooler(t, p, StatementTimeout{Want: 30 * time.Second, How: "transactions only"})
		for _, text := range []string{"a connection pooler stands before the server", "DB_STATEMENT_TIMEOUT is not in force", "ALTER ROLE"} {
			if !log.contains(text) {
				t.Errorf("the log does not say %q", text)
			}
		}
		raw := rawPool(t, b.URL, 10)
		failed := countFailures(10, func() error {
			var errs error
			for i := range 40 {
				errs = errors.Join(errs, raw.exec(t.Context(), "select $1::int", i))
			}
			return errs
		})
		if failed == 0 {
			t.Error("database/sql had no trouble: the test shows nothing")
		}
	})
}

// TestPoolerConfigured is told what stands there, and needs no second try.
func TestPoolerConfigured(t *testing.T) {
	t.Parallel()
	pooled(t, nil, func(t *testing.T, srv *pgtest.Server, b *pgtest.PgBouncer) {
		cfg := settled(b.URL, 5, 5)
		cfg.Pooler = config.PoolerPgBouncer
		p := open(t, cfg)
		behave(t, p, b)
		wantPooler(t, p, StatementTimeout{Want: 30 * time.Second, How: "transactions only"})
		if strings.Contains(b.Log(), "unsupported startup parameter") {
			t.Error("PgBouncer was sent parameters that it refuses")
		}
	})
}

// TestPoolerThatSwallows drops the parameters silently: only the server can tell.
func TestPoolerThatSwallows(t *testing.T) {
	t.Parallel()
	pooled(t, map[string]string{"ignore_startup_parameters": "statement_timeout"}, func(t *testing.T, srv *pgtest.Server, b *pgtest.PgBouncer) {
		p := open(t, settled(b.URL, 5, 5))
		behave(t, p, b)
		wantPooler(t, p, StatementTimeout{Want: 30 * time.Second, How: "transactions only"})
	})
}

// TestPoolerWithRoleSetting has the server keep the timeout for the role.
func TestPoolerWithRoleSetting(t *testing.T) {
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		srv.Exec(t, "alter role postgres set statement_timeout = '20s'")
		p := open(t, settled(pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{}).URL, 2, 0))
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantPooler(t, p, StatementTimeout{Want: 30 * time.Second, InForce: true, How: "role or database setting"})
	})
}

// TestPoolerRuledOut says what to do when a pooler is there after all.
func TestPoolerRuledOut(t *testing.T) {
	t.Parallel()
	pooled(t, nil, func(t *testing.T, srv *pgtest.Server, b *pgtest.PgBouncer) {
		cfg := settled(b.URL, 2, 0)
		cfg.Pooler = config.PoolerNone
		wantDialError(t, open(t, cfg), "refused by the pooler")
	})
}

// TestPoolerRefusals knows PgBouncer's words for what waiting does not change.
func TestPoolerRefusals(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{Auth: pgtest.AuthSCRAM})
	srv.Exec(t, "create role app login password 'right'")
	b := pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{})
	wantDialError(t, open(t, settled(b.DSN("postgres", "app", "wrong"), 2, 0)), "authentication")
	b = pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{Settings: map[string]string{"max_client_conn": "1"}})
	full := open(t, settled(b.DSN("postgres", "app", "right"), 1, 0))
	if err := full.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg := settled(b.DSN("postgres", "app", "right"), 1, 0)
	cfg.PoolTimeout = 300 * time.Millisecond
	if err := open(t, cfg).PingContext(t.Context()); !errors.Is(err, ErrServerFull) {
		t.Errorf("got %v, want ErrServerFull", err)
	}
}

func wantPooler(t *testing.T, p *Pool, want StatementTimeout) {
	t.Helper()
	if s := p.Stats(); s.Pooler != "pgbouncer" || s.StatementTimeout != want {
		t.Errorf("pooler %q, %+v, want %+v", s.Pooler, s.StatementTimeout, want)
	}
}

// behave uses the pool in all ways there are, while another client looks for
// traces of it on the server sessions that both are given.
func behave(t *testing.T, p *Pool, b *pgtest.PgBouncer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		watchNeighbour(ctx, t, b)
	}()
	stmt, err := p.PrepareContext(t.Context(), "select $1::int + 1")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	r := mine(p)
	inParallel(10, func(i int) {
		for range 40 {
			var n int
			if err := p.QueryRowContext(t.Context(), "select $1::int", i).Scan(&n); err != nil || n != i {
				t.Error(n, err)
			}
			if err := stmt.QueryRowContext(t.Context(), i).Scan(&n); err != nil || n != i+1 {
				t.Error(n, err)
			}
			if err := limitedTx(t.Context(), p); err != nil {
				t.Error(err)
			}
		}
		for range 5 {
			cancelOne(t, r)
		}
	})
	cancel()
	<-done
	// A statement that waits in the pooler for a server session cannot always be cancelled in time.
	if s := p.Stats(); s.OpenedCount > 10+s.Closed.Canceled || s.Closed.Canceled > 25 {
		t.Errorf("opened %d connections, closed %+v", s.OpenedCount, s.Closed)
	}
}

// limitedTx wants the statement timeout in force in a transaction.
func limitedTx(ctx context.Context, p *Pool) error {
	tx, err := p.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var timeout string
	if err := tx.QueryRowContext(ctx, "select current_setting('statement_timeout') || $1", "").Scan(&timeout); err != nil {
		return err
	}
	if timeout != "30s" {
		return errors.New("statement_timeout in a transaction is " + timeout)
	}
	return tx.Commit()
}

// watchNeighbour is another client of the same pooler, which set nothing and
// prepared nothing, and so must find nothing set and nothing prepared.
func watchNeighbour(ctx context.Context, t *testing.T, b *pgtest.PgBouncer) {
	cfg, err := pgx.ParseConfig(b.URL)
	if err != nil {
		t.Error(err)
		return
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	for looks := 0; ctx.Err() == nil || looks == 0; looks++ {
		var timeout string
		var prepared int
		err := conn.QueryRow(t.Context(), "select current_setting('statement_timeout'), (select count(*) from pg_prepared_statements)").Scan(&timeout, &prepared)
		if err != nil || timeout != "0" || prepared != 0 {
			t.Errorf("a neighbour found statement_timeout %q and %d prepared statements: %v", timeout, prepared, err)
			return
		}
	}
}
