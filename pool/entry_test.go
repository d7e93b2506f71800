package pool

import (
	"context"
	"database/sql"
	"strings"
	"testing"
)

// TestEveryEntryNamesItsCaller goes in by every public way to a connection and
// wants the line of this file, not one of the library's own packages.
func TestEveryEntryNamesItsCaller(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		stmt, err := p.PrepareContext(t.Context(), "select")
		if err != nil {
			t.Fatal(err)
		}
		defer stmt.Close()
		seen := func() {
			t.Helper()
			h := p.Holders(0)
			if len(h) != 1 || !strings.HasPrefix(h[0].Caller, "pool/entry_test.go:") {
				t.Errorf("held by %+v", h)
			}
		}
		rows := func(r *sql.Rows, err error) error {
			if err != nil {
				return err
			}
			seen()
			return r.Close()
		}
		session := func(ctx context.Context, s *Session) error {
			_, err := s.ExecContext(ctx, "update")
			seen()
			return err
		}
		for name, enter := range map[string]func(ctx context.Context) error{
			"QueryContext":      func(ctx context.Context) error { return rows(p.QueryContext(ctx, "select")) },
			"DB().QueryContext": func(ctx context.Context) error { return rows(p.DB().QueryContext(ctx, "select")) },
			"Stmt.QueryContext": func(ctx context.Context) error { return rows(stmt.QueryContext(ctx)) },
			"BeginTx": func(ctx context.Context) error {
				tx, err := p.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				seen()
				return tx.Rollback()
			},
			"Conn": func(ctx context.Context) error {
				c, err := p.Conn(ctx)
				if err != nil {
					return err
				}
				seen()
				return c.Close()
			},
			"DB().Conn": func(ctx context.Context) error {
				c, err := p.DB().Conn(ctx)
				if err != nil {
					return err
				}
				seen()
				return c.Close()
			},
			"WithSession": func(ctx context.Context) error { return p.WithSession(ctx, session) },
			"WithAutocommit": func(ctx context.Context) error {
				return p.WithSession(ctx, session, WithAutocommit())
			},
			"Background": func(ctx context.Context) error { return p.Background(ctx, "task", session).Wait(ctx) },
		} {
			if err := enter(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
