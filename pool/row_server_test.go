package pool

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// TestRowHoldsNothing has callers of QueryRowContext keep their row for as long as
// they like: never scanned, in a Scan that does not return, as after a panic, and
// with a result of many rows. The only connection serves others meanwhile.
func TestRowHoldsNothing(t *testing.T) {
	for mode, url := range map[string]string{"cached": "", "exec": "&default_query_exec_mode=exec", "simple": "&default_query_exec_mode=simple_protocol"} {
		for kind, query := range map[string]string{"one": "select $1::text", "many": "select $1::text from generate_series(1, 100000)"} {
			t.Run(mode+"/"+kind, func(t *testing.T) {
				p := openShared(t, 1, 0, func(c *config.Config) { c.DatabaseURL += config.DSN(url) })
				defer p.Close()
				ctx, cancel := context.WithCancel(t.Context())
				row := p.QueryRowContext(ctx, query, "x")
				scanner, done := newWaitingScanner(), make(chan error, 1)
				go func() { done <- p.QueryRowContext(ctx, query, "y").Scan(scanner) }()
				for range 3 {
					if err := p.PingContext(t.Context()); err != nil {
						t.Error(err)
					}
				}
				cancel() // it was read before that
				var text string
				if err := row.Scan(&text); err != nil || text != "x" {
					t.Errorf("%q, %v", text, err)
				}
				close(scanner.letGo)
				if err := <-done; err != nil {
					t.Error(err)
				}
				if s := p.Stats(); s.InUse != 0 || s.OpenedCount != 1 {
					t.Errorf("%d in use, %d opened", s.InUse, s.OpenedCount)
				}
			})
		}
	}
}

// TestRowAsPlain has rows end as those of database/sql do.
func TestRowAsPlain(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	defer p.Close()
	raw, err := sql.Open("pgx", string(p.Config().DatabaseURL))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	scan := func(row *sql.Row, dest any) string {
		if err := row.Scan(dest); err != nil {
			return err.Error()
		}
		return "ok"
	}
	for query, dest := range map[string]any{
		"select 1 where false":    new(int),
		"select 'a'":              new(int),
		"select null":             new(string),
		"select 1, 2":             new(int),
		"select '\\xabcd'::bytea": new([]byte),
		"select 'raw'":            new(sql.RawBytes),
		"select 1/0":              new(int),
		"select 1/(2-g) from generate_series(1, 3) g":       new(int),
		"select 1/(50000-g) from generate_series(1, 1e5) g": new(float64),
		"create temporary table nothing ()":                 new(int),
		"":                                                  new(int),
	} {
		if got, want := scan(p.QueryRowContext(t.Context(), query), dest), scan(raw.QueryRowContext(t.Context(), query), dest); got != want {
			t.Errorf("%s: %s; plain: %s", query, got, want)
		}
	}
	if n := p.Stats().InUse; n != 0 {
		t.Errorf("%d in use", n)
	}
}

// TestScanOutlivesItsContext has a Scan not return, because of a panic or
// otherwise, where database/sql holds the lock that giving back takes. The
// connection is taken away once the context has ended for long enough.
func TestScanOutlivesItsContext(t *testing.T) {
	t.Parallel()
	type scan func(ctx context.Context, p *Pool, dest any) error
	first := func(rows *sql.Rows, err error, dest any) error {
		if err != nil {
			return err
		}
		defer rows.Close()
		rows.Next()
		return errors.Join(rows.Scan(dest), rows.Close())
	}
	const query, many = "select 'x'", "select repeat('x', 1000) from generate_series(1, 100000)"
	for name, use := range map[string]scan{
		"rows": func(ctx context.Context, p *Pool, dest any) error {
			rows, err := p.QueryContext(ctx, query)
			return first(rows, err, dest)
		},
		"rows on the wire": func(ctx context.Context, p *Pool, dest any) error {
			rows, err := p.DB().QueryContext(ctx, many)
			return first(rows, err, dest)
		},
		"row of DB": func(ctx context.Context, p *Pool, dest any) error {
			return p.DB().QueryRowContext(ctx, query).Scan(dest)
		},
		"prepared": func(ctx context.Context, p *Pool, dest any) error {
			stmt, err := p.PrepareContext(ctx, query)
			if err != nil {
				return err
			}
			defer stmt.Close()
			return stmt.QueryRowContext(ctx).Scan(dest)
		},
		"transaction": func(ctx context.Context, p *Pool, dest any) error {
			tx, err := p.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			return tx.QueryRowContext(context.Background(), query).Scan(dest)
		},
		"connection": func(ctx context.Context, p *Pool, dest any) error {
			c, err := p.Conn(t.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			return c.QueryRowContext(ctx, query).Scan(dest)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := openShared(t, 1, 0, func(c *config.Config) { c.PoolTimeout = time.Minute })
			defer p.Close()
			ctx, cancel := context.WithCancel(t.Context())
			scanner, done := newWaitingScanner(), make(chan error, 1)
			go func() { done <- use(ctx, p, scanner) }()
			select {
			case <-scanner.scanning:
			case err := <-done:
				t.Fatal("not scanned:", err)
			}
			cancel()
			ended := time.Now()
			if err := p.PingContext(t.Context()); err != nil {
				t.Error(err)
			}
			if took := time.Since(ended); took < scanGrace-2*maxPeriod {
				t.Errorf("taken away after %s", took)
			}
			close(scanner.letGo)
			err := <-done
			if err != nil && !errors.Is(err, ErrReclaimed) && !errors.Is(err, context.Canceled) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error(err)
			}
			if s := p.Stats(); s.InUse != 0 || s.Closed.Unclean != 1 {
				t.Errorf("%d in use, closed %+v", s.InUse, s.Closed)
			}
		})
	}
}
