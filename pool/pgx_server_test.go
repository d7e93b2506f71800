package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// native is what code for pgxpool asks of a pool: sqlc's DBTX for pgx, scany's
// Querier, pgx's own helpers.
type native interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error)
	Begin(ctx context.Context) (pgx.Tx, error)
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
	Ping(ctx context.Context) error
}

var (
	_ native = (*Pgx)(nil)
	_ native = (*pgxpool.Pool)(nil)
)

// TestPgx does the same with the pool's native face as with pgxpool, and wants
// the same answers, and everything given back.
func TestPgx(t *testing.T) {
	srv := pgtest.Shared(t)
	theirs, err := pgxpool.New(t.Context(), srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	p := openPipelining(t, srv, 2, nil)
	for name, work := range nativeWork {
		t.Run(name, func(t *testing.T) {
			want, got := work(t.Context(), theirs), work(t.Context(), p.Pgx())
			if got != want {
				t.Errorf("%s, pgxpool: %s", got, want)
			}
			if s := p.Stats(); s.InUse != 0 || s.Waiting != 0 {
				t.Errorf("left behind: %v", p.Holders(0))
			}
		})
	}
}

// nativeWork are uses of a pool; each returns what came of it.
var nativeWork = map[string]func(ctx context.Context, n native) string{
	"ping": func(ctx context.Context, n native) string { return fmt.Sprint(n.Ping(ctx)) },
	"exec": func(ctx context.Context, n native) string {
		tag, err := n.Exec(ctx, "create temp table e (a int); insert into e values (1), (2); drop table e")
		return fmt.Sprint(tag, err)
	},
	"exec with arguments": func(ctx context.Context, n native) string {
		tag, err := n.Exec(ctx, "select generate_series(1, $1::int)", 3)
		return fmt.Sprint(tag, err)
	},
	"query": func(ctx context.Context, n native) string {
		rows, _ := n.Query(ctx, "select n, 'n' || n from generate_series(1, $1::int) n", 3)
		all, err := pgx.CollectRows(rows, pgx.RowToMap)
		return fmt.Sprint(all, err, rows.CommandTag())
	},
	"query of nothing": func(ctx context.Context, n native) string {
		rows, err := n.Query(ctx, "select 1 where $1", false)
		defer rows.Close() //nolint:staticcheck // pgx returns rows with every error
		return fmt.Sprint(rows.Next(), rows.Err(), err)
	},
	"query that fails": func(ctx context.Context, n native) string {
		rows, _ := n.Query(ctx, "select nothing from nowhere")
		_, err := pgx.CollectRows(rows, pgx.RowToMap)
		return fmt.Sprint(err)
	},
	"query that fails late": func(ctx context.Context, n native) string {
		rows, _ := n.Query(ctx, "select 1 / (3 - n) from generate_series(1, $1::int) n", 5)
		all, err := pgx.CollectRows(rows, pgx.RowTo[int])
		return fmt.Sprint(all, err)
	},
	"query read in part": func(ctx context.Context, n native) string {
		rows, err := n.Query(ctx, "select n from generate_series(1, 100000) n")
		defer rows.Close() //nolint:staticcheck // pgx returns rows with every error
		var i int
		return fmt.Sprint(err, rows.Next(), rows.Scan(&i), i, len(rows.RawValues()), rows.FieldDescriptions()[0].Name)
	},
	"scan that fails": func(ctx context.Context, n native) string {
		rows, err := n.Query(ctx, "select 'x'")
		defer rows.Close() //nolint:staticcheck // pgx returns rows with every error
		var i int
		return fmt.Sprint(err, rows.Next(), rows.Scan(&i), rows.Next(), rows.Err())
	},
	"row": func(ctx context.Context, n native) string {
		var s string
		err := n.QueryRow(ctx, "select 'a' || $1", "b").Scan(&s)
		return fmt.Sprint(s, err, n.QueryRow(ctx, "select 1 where false").Scan(new(int)))
	},
	"wrong number of arguments": func(ctx context.Context, n native) string {
		_, err := n.Exec(ctx, "select $1::int", 1, 2)
		return fmt.Sprint(err, n.QueryRow(ctx, "select $1::int", 1, 2).Scan(nil))
	},
	"named arguments": func(ctx context.Context, n native) string {
		var i int
		err := n.QueryRow(ctx, "select @a::int + @b::int", pgx.NamedArgs{"a": 1, "b": 2}).Scan(&i)
		return fmt.Sprint(i, err)
	},
	"batch": func(ctx context.Context, n native) string {
		b := &pgx.Batch{}
		b.Queue("select $1::int", 1)
		b.Queue("select 1 / 0")
		r := n.SendBatch(ctx, b)
		var i int
		first := r.QueryRow().Scan(&i)
		_, second := r.Exec()
		return fmt.Sprint(i, first, second, r.Tx(), r.Close(), r.Close())
	},
	"copy": func(ctx context.Context, n native) string {
		tag, err := n.Exec(ctx, "drop table if exists copied; create table copied (a int, b text)")
		count, copyErr := n.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"a", "b"}, pgx.CopyFromRows([][]any{{1, "x"}, {2, nil}}))
		_, fails := n.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"c"}, pgx.CopyFromRows([][]any{{1}}))
		return fmt.Sprint(tag, err, count, copyErr, fails)
	},
	"transaction": func(ctx context.Context, n native) string {
		var inside int
		err := pgx.BeginTxFunc(ctx, n, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, "select count(*) from pg_class where relname = 'pg_class'").Scan(&inside)
		})
		tx, begin := n.Begin(ctx)
		_, fails := tx.Exec(ctx, "select 1 / 0")
		return fmt.Sprint(inside, err, begin, fails, tx.Commit(ctx), tx.Rollback(ctx))
	},
	"transaction in a batch": func(ctx context.Context, n native) string {
		b := &pgx.Batch{}
		b.BeginTx(pgx.TxOptions{})
		b.Queue("select 1")
		r := n.SendBatch(ctx, b)
		tx := r.Tx()
		return fmt.Sprint(r.Close(), tx.Commit(ctx), tx.Rollback(ctx))
	},
	"ended context": func(ctx context.Context, n native) string {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_, err := n.Exec(ctx, "select $1::int", 1)
		_, begin := n.Begin(ctx)
		return fmt.Sprint(errors.Is(err, context.Canceled), errors.Is(begin, context.Canceled), errors.Is(n.QueryRow(ctx, "select 1").Scan(nil), context.Canceled))
	},
	"cancelled": func(ctx context.Context, n native) string {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		err := n.QueryRow(ctx, "select pg_sleep(30)::text").Scan(new(string))
		return fmt.Sprint(errors.Is(err, context.DeadlineExceeded))
	},
}

// A panic in an argument gives the connection back, and goes on.
func TestPgxPanics(t *testing.T) {
	p := openPipelining(t, pgtest.Shared(t), 1, nil)
	for name, call := range map[string]func(){
		"exec":  func() { _, _ = p.Pgx().Exec(t.Context(), "select $1::int", panics{}) },
		"query": func() { _, _ = p.Pgx().Query(t.Context(), "select $1::int", panics{}) },
		"with":  func() { _ = p.WithPgx(t.Context(), func(context.Context, *pgx.Conn) error { panic("x") }) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
		if err := p.Pgx().Ping(t.Context()); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	if s := p.Stats(); s.InUse != 0 {
		t.Errorf("left behind: %v", p.Holders(0))
	}
}

// The native face shares connections as the other does.
func TestPgxPipelines(t *testing.T) {
	p := openPipelining(t, pgtest.Shared(t), 1, nil)
	const query = "select $1::int, array[$1::int, 2]"
	teach(t, p, query, 0)
	release := held(t, p, 1)
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			var n int
			var list []int
			if err := p.Pgx().QueryRow(t.Context(), query, i).Scan(&n, &list); err != nil || n != i || list[0] != i {
				t.Errorf("%d: %d, %v, %v", i, n, list, err)
			}
		})
		all.Go(func() {
			if tag, err := p.Pgx().Exec(t.Context(), query, i); err != nil || tag.String() != "SELECT 1" {
				t.Errorf("%s, %v", tag, err)
			}
		})
	}
	queued(t, p, 20)
	release()
	all.Wait()
	if st := p.Stats(); st.Pipeline.SharedCount == 0 || st.InUse != 0 {
		t.Errorf("in use %d, %+v", st.InUse, st.Pipeline)
	}
}

// WithPgx gives pgx's connection, for whatever it can do, and takes it back.
func TestWithPgx(t *testing.T) {
	p := openPipelining(t, pgtest.Shared(t), 1, nil)
	sentinel := errors.New("mine")
	err := p.WithPgx(t.Context(), func(ctx context.Context, c *pgx.Conn) error {
		if h := p.Holders(0); len(h) != 1 {
			t.Errorf("holders %v", h)
		}
		if _, err := c.Exec(ctx, "begin; create table left_open ()"); err != nil {
			t.Error(err)
		}
		return sentinel
	})
	if err != sentinel {
		t.Error(err)
	}
	var exists bool
	if err := p.QueryRowContext(t.Context(), "select to_regclass('left_open') is not null").Scan(&exists); err != nil || exists {
		t.Errorf("a transaction that was left open: %v, %v", exists, err)
	}
	if s := p.Stats(); s.InUse != 0 || s.Closed.Unclean != 1 {
		t.Errorf("%+v", s)
	}
}

func TestPgxNeedsOpen(t *testing.T) {
	p := openPipelining(t, pgtest.Shared(t), 1, func(c *config.Config) { c.Pipeline = config.PipelineOff })
	_ = p.Close()
	if _, err := p.Pgx().Exec(t.Context(), "select 1"); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
