package pool

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
)

// TestReclaimSparesWaiting has functions given to Raw wait, for longer than a
// holder may be idle: for notifications, and for the data of a COPY. Those who
// look at the holder see it.
func TestReclaimSparesWaiting(t *testing.T) {
	for activity, use := range map[string]func(context.Context, *pgx.Conn) error{
		"listening": func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.WaitForNotification(ctx)
			return err
		},
		"running": func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.PgConn().CopyFrom(context.Background(), stalledReader{ctx}, "copy t from stdin")
			return err
		},
	} {
		t.Run(activity, func(t *testing.T) {
			inWire(t, reclaiming(orders(1, 0)), func(t *testing.T, p *Pool, s *wireServer, log *logLines) {
				s.with(func(f *wireFaults) { f.script = copyIn })
				held := holdAll(t, p, 1)[0]
				defer held.Close()
				ctx := within(t, 10*time.Minute)
				done := make(chan error, 1)
				go func() { done <- natively(held, func(c *pgx.Conn) error { return use(ctx, c) }) }()
				time.Sleep(5 * time.Minute)
				if h := p.Holders(0)[0]; h.Activity != activity {
					t.Errorf("it is %s", h.Activity)
				}
				<-done
				if log.contains("reclaimed") {
					t.Error("reclaimed in the middle of it")
				}
				time.Sleep(time.Minute + 2*maxPeriod)
				if !log.contains("reclaimed") {
					t.Error("not reclaimed afterwards")
				}
			})
		})
	}
}

// TestReclaimForgottenRows takes connections back from holders that have left
// rows alone, read or not, and sees to it that none of them reads on.
func TestReclaimForgottenRows(t *testing.T) {
	const many = "select repeat('x', 1000) from generate_series(1, 100000)"
	for what, forget := range map[string]func(*Pool) (next func() error){
		"QueryRow without Scan": func(p *Pool) func() error {
			row := p.DB().QueryRowContext(context.Background(), "select 'x' from generate_series(1, 2)")
			return func() error { return row.Scan(new(string)) }
		},
		"rows that were all sent": func(p *Pool) func() error { return forgotten(p.QueryContext(context.Background(), "select 'x'")) },
		"rows on the wire":        func(p *Pool) func() error { return forgotten(p.QueryContext(context.Background(), many)) },
		"rows of a transaction": func(p *Pool) func() error {
			tx, err := p.BeginTx(context.Background(), nil)
			if err != nil {
				return func() error { return err }
			}
			next := forgotten(tx.QueryContext(context.Background(), many))
			return func() error { return errors.Join(next(), tx.Rollback()) }
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := openShared(t, 1, 0, func(c *config.Config) { c.ReclaimAfter, c.PoolTimeout = time.Second, 20*time.Second })
			defer p.Close()
			next := forget(p)
			if _, err := p.ExecContext(t.Context(), "select $1::int", 1); err != nil {
				t.Fatalf("the next caller: %v", err)
			}
			if st := p.Stats(); st.Closed.Unclean != 1 {
				t.Errorf("closed %+v", st.Closed)
			}
			if err := next(); err != nil && !errors.Is(err, ErrReclaimed) {
				t.Errorf("the holder that woke up: %v", err)
			}
		})
	}
}

// forgotten reads one row and returns what reads the others.
func forgotten(rows *sql.Rows, err error) func() error {
	if err != nil {
		return func() error { return err }
	}
	rows.Next()
	return func() error {
		n := 1
		for rows.Next() {
			if n++; n > 100000 {
				return errors.New("too many rows")
			}
		}
		return errors.Join(rows.Err(), rows.Close())
	}
}
