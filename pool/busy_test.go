package pool

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
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
					if err := call(t.Context(), q); err != pgdriver.ErrBusy {
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

// TestUnreadableRowIsNotTheLast has the context of a query end while what
// follows a row that could not be converted is read and thrown away.
func TestUnreadableRowIsNotTheLast(t *testing.T) {
	number := *oneColumn
	number.Fields = []pgproto3.FieldDescription{{Name: []byte("n"), DataTypeOID: 23, DataTypeSize: 4, TypeModifier: -1, Format: 1}}
	script := func(w *wireSession, msg pgproto3.FrontendMessage) bool {
		if m, ok := msg.(*pgproto3.Describe); ok && m.ObjectType == 'P' {
			w.Backend.Send(&number)
			w.Send(&pgproto3.DataRow{Values: [][]byte{{1}}}) // an integer of one byte
		}
		return true
	}
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		c := holdAll(t, p, 1)[0]
		defer c.Close()
		s.with(func(f *wireFaults) { f.script = script })
		ctx := within(t, time.Second)
		started := time.Now()
		_ = c.Raw(func(dc any) error {
			rows, err := dc.(driver.QueryerContext).QueryContext(ctx, "sleep 1m", []driver.NamedValue{{Value: pgx.QueryExecModeExec}})
			if err != nil {
				t.Fatal(err)
			}
			if err := rows.Next(make([]driver.Value, 1)); err == nil {
				t.Error("it was read")
			}
			if err := rows.Close(); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			return nil
		})
		if d := time.Since(started); d > time.Second+pgdriver.CancelBound || p.Stats().CancelCount != 1 {
			t.Errorf("closed after %s, %d cancelled", d, p.Stats().CancelCount)
		}
	})
}
