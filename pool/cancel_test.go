package pool

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// TestCancelEveryCall ends each kind of statement on the server when its context
// ends, and keeps its connection.
func TestCancelEveryCall(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, q dbtx) error{
		"ExecContext": func(ctx context.Context, q dbtx) error {
			_, err := q.ExecContext(ctx, "sleep 1m")
			return err
		},
		"QueryContext": func(ctx context.Context, q dbtx) error {
			rows, err := q.QueryContext(ctx, "sleep 1m")
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
			}
			return rows.Err()
		},
		"QueryRowContext": func(ctx context.Context, q dbtx) error {
			return q.QueryRowContext(ctx, "sleep 1m").Scan(new(string))
		},
		"Stmt": func(ctx context.Context, q dbtx) error {
			stmt, err := q.PrepareContext(context.WithoutCancel(ctx), "sleep 1m")
			if err != nil {
				return err
			}
			defer stmt.Close()
			return stmt.QueryRowContext(ctx).Scan(new(string))
		},
	} {
		for _, where := range []string{"Pool", "DB"} {
			t.Run(where+"."+name, func(t *testing.T) {
				inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
					var q dbtx = p
					if where == "DB" {
						q = p.DB()
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					started := time.Now()
					if err := call(ctx, q); !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					if d := time.Since(started); d < time.Second || d > time.Second+pgdriver.CancelBound {
						t.Errorf("returned after %s", d)
					}
					if st := p.Stats(); st.CancelCount != 1 {
						t.Errorf("%d statements were cancelled on the server", st.CancelCount)
					}
					if _, _, opened := s.figures(); opened != 1 {
						t.Errorf("%d connections", opened)
					}
				})
			})
		}
	}
}
