package pool

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// realConn is the real connection that held has.
func realConn(held *sql.Conn) (c *conn) {
	_ = held.Raw(func(dc any) error { c = dc.(*virtual).real.(*conn); return nil })
	return c
}

// TestFreshIsOfThisMoment has a connection rest between being granted and being used.
func TestFreshIsOfThisMoment(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		held := holdAll(t, p, 1)[0]
		c := realConn(held)
		held.Close()
		if !c.IsFresh() {
			t.Error("not fresh, although it was given back this moment")
		}
		time.Sleep(pgdriver.FreshFor)
		if c.IsFresh() {
			t.Error("fresh, although it has rested")
		}
	})
}

// TestOptionsOfASimpleQueryAreLookedAt ends the session of a connection that has
// just served, before a query that pgx's options make a simple one: nobody could
// tell whether that was executed, so the end must be noticed before it is sent.
func TestOptionsOfASimpleQueryAreLookedAt(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, p *Pool) error{
		"Exec": func(ctx context.Context, p *Pool) error {
			_, err := p.ExecContext(ctx, "x", pgx.QueryExecModeSimpleProtocol)
			return err
		},
		"Query": func(ctx context.Context, p *Pool) error {
			return p.QueryRowContext(ctx, "x", pgx.QueryExecModeSimpleProtocol).Scan(new(string))
		},
		"a rewriter": func(ctx context.Context, p *Pool) error {
			_, err := p.ExecContext(ctx, "x", pgx.NamedArgs{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				askWire(t.Context(), p, "x").want(t, 0, nil)
				s.kill(everyone)
				if err := call(t.Context(), p); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
