package pool

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// TestEveryEntryNamesItsCaller goes in by every public way to a connection and
// wants the line of this file, not one of the library's own packages.
func TestEveryEntryNamesItsCaller(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.with(func(f *wireFaults) { f.script = slowWhereNothingIsSaid })
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
		during := func(call func() error) error { // looks while a statement runs
			done := make(chan error, 1)
			go func() { done <- call() }()
			synctest.Wait()
			seen()
			return <-done
		}
		x := p.Pgx()
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
			"ExecContext": func(ctx context.Context) error {
				return during(func() error { _, err := p.ExecContext(ctx, "sleep 1s"); return err })
			},
			"QueryRowContext": func(ctx context.Context) error {
				return during(func() error { return p.QueryRowContext(ctx, "sleep 1s").Scan(new(string)) })
			},
			"PingContext": func(ctx context.Context) error {
				return during(func() error { return p.PingContext(ctx) })
			},
			"PrepareContext": func(ctx context.Context) error {
				return during(func() error {
					stmt, err := p.PrepareContext(ctx, "another")
					return errors.Join(err, stmt.Close())
				})
			},
			"DB().ExecContext": func(ctx context.Context) error {
				return during(func() error { _, err := p.DB().ExecContext(ctx, "sleep 1s"); return err })
			},
			"DB().PingContext": func(ctx context.Context) error {
				return during(func() error { return p.DB().PingContext(ctx) })
			},
			"WithPgx": func(ctx context.Context) error {
				return p.WithPgx(ctx, func(context.Context, *pgx.Conn) error { seen(); return nil })
			},
			"Pgx().Exec": func(ctx context.Context) error {
				return during(func() error { _, err := x.Exec(ctx, "sleep 1s"); return err })
			},
			"Pgx().Query": func(ctx context.Context) error {
				r, err := x.Query(ctx, "select")
				if err != nil {
					return err
				}
				defer r.Close()
				seen()
				return nil
			},
			"Pgx().QueryRow": func(ctx context.Context) error {
				return during(func() error { return x.QueryRow(ctx, "sleep 1s").Scan(new(string)) })
			},
			"Pgx().Ping": func(ctx context.Context) error {
				return during(func() error { return x.Ping(ctx) })
			},
			"Pgx().BeginTx": func(ctx context.Context) error {
				tx, err := x.BeginTx(ctx, pgx.TxOptions{})
				if err != nil {
					return err
				}
				seen()
				return tx.Rollback(ctx)
			},
			"Pgx().Begin": func(ctx context.Context) error {
				tx, err := x.Begin(ctx)
				if err != nil {
					return err
				}
				seen()
				return tx.Rollback(ctx)
			},
			"Pgx().SendBatch": func(ctx context.Context) error {
				b := &pgx.Batch{}
				b.Queue("select")
				r := x.SendBatch(ctx, b)
				seen()
				return r.Close()
			},
			"Connector": func(ctx context.Context) error {
				db := sql.OpenDB(p.Connector())
				defer db.Close()
				return rows(db.QueryContext(ctx, "select"))
			},
			"Ready": func(ctx context.Context) error {
				return during(func() error { return p.Ready(ctx) })
			},
			"Retry": func(ctx context.Context) error { return p.Retry(ctx, session) },
			"Middleware": func(ctx context.Context) error {
				handler := p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if err := session(r.Context(), FromContext(r.Context())); err != nil {
						t.Error(err)
					}
				}))
				handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
				return nil
			},
			"Background": func(ctx context.Context) error { return p.Background(ctx, "task", session).Wait(ctx) },
		} {
			if err := enter(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// slowWhereNothingIsSaid has pings and preparations take a second.
func slowWhereNothingIsSaid(w *wireSession, msg pgproto3.FrontendMessage) bool {
	switch m := msg.(type) {
	case *pgproto3.Query:
		if strings.HasPrefix(m.String, "--") {
			time.Sleep(time.Second)
		}
	case *pgproto3.Parse:
		if m.Query == "another" {
			time.Sleep(time.Second)
		}
	}
	return true
}
