package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestCancelNeverHitsTheNext ends contexts at random moments around the end of
// their statements: some of the requests come too late, and must not cancel what
// another caller runs by then.
func TestCancelNeverHitsTheNext(t *testing.T) {
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		const limit = 3
		p := open(t, settled(srv.URL, limit, 0))
		ways := []func(ctx context.Context) error{
			func(ctx context.Context) error {
				return p.QueryRowContext(ctx, "select pg_sleep($1)", 0.001).Scan(new(any))
			},
			func(ctx context.Context) error {
				_, err := p.ExecContext(ctx, "select pg_sleep(0.001)")
				return err
			},
			func(ctx context.Context) error { return readSome(ctx, p) },
			func(ctx context.Context) error {
				return p.DB().QueryRowContext(ctx, "select pg_sleep(0.001)").Scan(new(any))
			},
		}
		inParallel(2*limit, func(int) {
			for i := range 150 {
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(3*time.Millisecond))
				if err := ways[i%len(ways)](ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrOverloaded) {
					t.Errorf("way %d: %v", i%len(ways), err)
				}
				cancel()
				n := -1
				if err := p.QueryRowContext(t.Context(), "select $1::int", i).Scan(&n); err != nil || n != i {
					t.Errorf("got %d, want %d, %v", n, i, err)
				}
			}
		})
		st := p.Stats()
		if st.CancelCount == 0 || int(st.OpenedCount) > limit {
			t.Errorf("%d cancelled, %d opened, %+v", st.CancelCount, st.OpenedCount, st.Closed)
		}
	})
}

// readSome reads a part of a result that does not fit into any buffer.
func readSome(ctx context.Context, p *Pool) error {
	rows, err := p.QueryContext(ctx, "select repeat('x', 1000) from generate_series(1, 3000)")
	if err != nil {
		return err
	}
	defer rows.Close()
	for range rand.N(3000) {
		if !rows.Next() {
			break
		}
	}
	return rows.Err()
}

// TestRefusedStatementLeavesTheOther has a statement refused because rows are
// still being read; the end of their context must end them all the same.
func TestRefusedStatementLeavesTheOther(t *testing.T) {
	p := open(t, settled(pgtest.Shared(t).URL, 1, 0))
	tx, err := p.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows, err := tx.QueryContext(ctx, "select repeat('x', 9000), pg_sleep(0.01) from generate_series(1, 6000)")
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "select 1"); err == nil {
		t.Error("not refused")
	}
	if h := p.Holders(1)[0]; h.Activity != "rows open" {
		t.Error(h.Activity)
	}
	started := time.Now()
	cancel()
	for rows.Next() {
	}
	if err := rows.Err(); !errors.Is(err, context.Canceled) || time.Since(started) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(started))
	}
	until(t, 10*time.Second, "it was cancelled", func() bool { return p.Stats().CancelCount == 1 })
}

// TestCancelWhileSending ends the context of a statement that the network does
// not take. The server, which waits for the rest of it, has to learn that there
// is none: only then the slot comes free.
func TestCancelWhileSending(t *testing.T) {
	srv := pgtest.Shared(t)
	proxy := srv.Proxy(t)
	p := open(t, settled(proxy.URL(srv.URL), 1, 0))
	large := strings.Repeat("x", 32<<20)
	if err := p.QueryRowContext(t.Context(), "select length($1::text)", "x").Scan(new(int)); err != nil {
		t.Fatal(err)
	}
	proxy.Freeze(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	started := time.Now()
	err := p.QueryRowContext(ctx, "select length($1::text)", large).Scan(new(int))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if took := time.Since(started); took > pgdriver.CancelBound+5*time.Second {
		t.Errorf("returned after %s", took)
	}
	proxy.Freeze(false) // long before pgx's farewell of 15 s would be over
	if err := p.QueryRowContext(t.Context(), "select 1").Scan(new(int)); err != nil {
		t.Error(err)
	}
}

// TestCancelBetweenRawUses has callers of sql.Conn.Raw use pgx itself, between
// statements whose context the pool watches. What was cancelled, by whomever,
// must not hit what comes next on the connection.
func TestCancelBetweenRawUses(t *testing.T) {
	p := open(t, settled(pgtest.Shared(t).URL, 2, 0))
	ways := []func(ctx context.Context, c *pgx.Conn) error{
		func(ctx context.Context, c *pgx.Conn) error {
			rows := make([][]any, 2000)
			for i := range rows {
				rows[i] = []any{i, strings.Repeat("x", 30)}
			}
			_, err := c.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"id", "text"}, pgx.CopyFromRows(rows))
			return err
		},
		func(ctx context.Context, c *pgx.Conn) error {
			b := &pgx.Batch{}
			for i := range 5 {
				b.Queue("select $1::int, pg_sleep(0.0005)", i)
			}
			return c.SendBatch(ctx, b).Close()
		},
		func(ctx context.Context, c *pgx.Conn) error {
			line := c.PgConn().StartPipeline(ctx)
			line.SendPrepare("", "select pg_sleep(0.001)", nil)
			_ = line.Sync()
			return line.Close()
		},
	}
	inParallel(2, func(int) {
		held := holdAll(t, p, 1)[0]
		defer held.Close()
		if _, err := held.ExecContext(t.Context(), "create temp table copied (id int, text text)"); err != nil {
			t.Error(err)
		}
		for i := range 150 {
			ctx, cancel := context.WithTimeout(t.Context(), rand.N(4*time.Millisecond))
			_ = held.QueryRowContext(ctx, "select pg_sleep($1)", 0.0005).Scan(new(any))
			_ = held.Raw(func(dc any) error {
				_ = ways[i%len(ways)](ctx, dc.(interface{ Conn() *pgx.Conn }).Conn())
				return nil // what it fails with is not sql.Conn's business
			})
			cancel()
			n := -1
			if err := held.QueryRowContext(t.Context(), "select $1::int", i).Scan(&n); err != nil || n != i {
				t.Errorf("got %d, want %d, %v", n, i, err)
			}
		}
	})
	if st := p.Stats(); st.CancelCount == 0 || st.OpenedCount != 2 {
		t.Errorf("%d cancelled, %d opened, %+v", st.CancelCount, st.OpenedCount, st.Closed)
	}
}
