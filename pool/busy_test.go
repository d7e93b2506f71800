package pool

import (
	"context"
	"testing"
)

// TestBusyConnectionRefuses begins something on a connection whose rows are
// being read by the same caller. pgx's error would become driver.ErrBadConn, and
// sql.Conn would wait for the rows to be closed.
func TestBusyConnectionRefuses(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, q dbtx) error{
		"Exec": func(ctx context.Context, q dbtx) error {
			_, err := q.ExecContext(ctx, "x")
			return err
		},
		"Query": func(ctx context.Context, q dbtx) error { return q.QueryRowContext(ctx, "x").Scan(new(string)) },
		"Prepare": func(ctx context.Context, q dbtx) error {
			stmt, err := q.PrepareContext(ctx, "x")
			if err != nil {
				return err
			}
			return stmt.Close()
		},
		"Ping": func(ctx context.Context, q dbtx) error {
			if c, ok := q.(interface{ PingContext(context.Context) error }); ok {
				return c.PingContext(ctx)
			}
			return q.QueryRowContext(ctx, "x").Scan(new(string))
		},
	} {
		for _, where := range []string{"Conn", "DB.Conn", "Tx"} {
			t.Run(where+"."+name, func(t *testing.T) {
				inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
					q, end := oneOf(t, p, where)
					defer end()
					rows, err := q.QueryContext(t.Context(), "rows")
					if err != nil {
						t.Fatal(err)
					}
					if err := call(t.Context(), q); err != errBusy {
						t.Errorf("while rows are open: %v", err)
					}
					if n := countRows(rows); n != 1 || rows.Err() != nil {
						t.Errorf("%d rows, %v", n, rows.Err())
					}
					if err := call(t.Context(), q); err != nil {
						t.Errorf("afterwards: %v", err)
					}
				})
			})
		}
	}
}

// oneOf takes one connection in one of the ways in which a caller keeps it.
func oneOf(t *testing.T, p *Pool, where string) (q dbtx, end func()) {
	t.Helper()
	if where == "Tx" {
		tx, err := p.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return tx, func() { _ = tx.Rollback() }
	}
	take := p.Conn
	if where == "DB.Conn" {
		take = p.DB().Conn
	}
	c, err := take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, func() { _ = c.Close() }
}

// countRows reads rows to their end.
func countRows(rows interface{ Next() bool }) (n int) {
	for rows.Next() {
		n++
	}
	return n
}
