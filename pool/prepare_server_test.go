package pool

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/dbpool-go/dbpool/config"
)

// TestStatementsOfTwoDBs uses statements prepared by each face in transactions of
// each: between the faces database/sql refuses, with an error that says why, and
// the transaction goes on.
func TestStatementsOfTwoDBs(t *testing.T) {
	p := openShared(t, 2, 0, nil)
	defer p.Close()
	type face interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
		BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
	}
	for prepares, from := range map[string]face{"Pool": p, "DB": p.DB()} {
		for begins, to := range map[string]face{"Pool": p, "DB": p.DB()} {
			stmt, err := from.PrepareContext(t.Context(), "select $1::int + 1")
			if err != nil {
				t.Fatal(err)
			}
			tx, err := to.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var n int
			err = tx.StmtContext(t.Context(), stmt).QueryRowContext(t.Context(), 1).Scan(&n)
			switch {
			case prepares == begins && (err != nil || n != 2):
				t.Errorf("%s in %s: %d, %v", prepares, begins, n, err)
			case prepares != begins && (err == nil || !strings.Contains(err.Error(), "statement from different database")):
				t.Errorf("%s in %s: %v", prepares, begins, err)
			}
			if err := tx.QueryRowContext(t.Context(), "select 3").Scan(&n); err != nil || n != 3 || tx.Commit() != nil || stmt.Close() != nil {
				t.Errorf("%s in %s: the transaction does not go on: %v", prepares, begins, err)
			}
		}
	}
}

// owners give a session to work.
var owners = map[string]func(ctx context.Context, p *Pool, work func(dbtx) error) error{
	"Conn": func(ctx context.Context, p *Pool, work func(dbtx) error) error {
		c, err := p.Conn(ctx)
		if err != nil {
			return err
		}
		return errors.Join(work(c), c.Close())
	},
	"Tx": func(ctx context.Context, p *Pool, work func(dbtx) error) error {
		tx, err := p.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		return errors.Join(work(tx), tx.Rollback())
	},
	"Tx of DB": func(ctx context.Context, p *Pool, work func(dbtx) error) error {
		tx, err := p.DB().BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		return errors.Join(work(tx), tx.Commit())
	},
	"Session": func(ctx context.Context, p *Pool, work func(dbtx) error) error {
		return p.WithSession(ctx, func(_ context.Context, s *Session) error { return work(s) })
	},
	"autocommit": func(ctx context.Context, p *Pool, work func(dbtx) error) error {
		return p.WithSession(ctx, func(_ context.Context, s *Session) error { return work(s) }, WithAutocommit())
	},
	"Session.DB": func(ctx context.Context, p *Pool, work func(dbtx) error) error {
		return p.WithSession(ctx, func(_ context.Context, s *Session) error { return work(s.DB()) })
	},
}

// named is how many statements are prepared in a session by their callers, and
// how often those were executed.
func named(t *testing.T, in dbtx) (n, executed int) {
	t.Helper()
	const ask = "select count(*), coalesce(sum(generic_plans + custom_plans), 0)::int from pg_prepared_statements where name like 'stmt\\_%'"
	if err := in.QueryRowContext(t.Context(), ask).Scan(&n, &executed); err != nil {
		t.Error(err)
	}
	return n, executed
}

// TestPreparedInItsSession prepares in each kind of session that is the caller's own,
// in each of pgx's modes: the server parses the statement once, and forgets it when
// it is closed, or with the session's end.
func TestPreparedInItsSession(t *testing.T) {
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		p := openShared(t, 1, 0, func(c *config.Config) { c.DatabaseURL += config.DSN("&default_query_exec_mode=" + mode) })
		for owner, give := range owners {
			t.Run(mode+"/"+owner, func(t *testing.T) {
				err := give(t.Context(), p, func(own dbtx) error {
					if n, _ := named(t, own); n != 0 {
						t.Errorf("%d before", n)
					}
					stmt, err := own.PrepareContext(t.Context(), "select $1::int + 1")
					if err != nil {
						return err
					}
					again, err := own.PrepareContext(t.Context(), "select $1::int + 1")
					if err != nil {
						return err
					}
					for i := range 3 {
						var n int
						if err := stmt.QueryRowContext(t.Context(), i).Scan(&n); err != nil || n != i+1 {
							t.Errorf("%d, %v", n, err)
						}
						if _, err := again.ExecContext(t.Context(), i); err != nil {
							t.Error(err)
						}
					}
					if n, executed := named(t, own); n != 1 || executed != 6 {
						t.Errorf("%d prepared, executed %d times", n, executed)
					}
					if err := again.Close(); err != nil {
						t.Error(err)
					}
					if n, _ := named(t, own); n != 1 && owner != "Session.DB" {
						t.Errorf("%d after the first was closed", n)
					}
					if err := stmt.Close(); err != nil {
						t.Error(err)
					}
					if n, _ := named(t, own); n != 0 {
						t.Errorf("%d after both were closed", n)
					}
					_, err = own.PrepareContext(t.Context(), "select 'left behind'")
					return err
				})
				if err != nil {
					t.Error(err)
				}
				if n, _ := named(t, p); n != 0 {
					t.Errorf("%d left to the next", n)
				}
			})
		}
		if s := p.Stats(); s.OpenedCount != 1 {
			t.Errorf("%s: %d opened", mode, s.OpenedCount)
		}
		p.Close()
	}
}

// TestPreparedClosesInTrouble closes statements of sessions that are not as they should be.
func TestPreparedClosesInTrouble(t *testing.T) {
	const forget = `do $$ begin execute (select 'deallocate "' || name || '"' from pg_prepared_statements where name like 'stmt\_%'); end $$`
	p := openShared(t, 1, 0, nil)
	defer p.Close()
	for trouble, bring := range map[string]func(own dbtx, stmt *sql.Stmt) (end func() error){
		"failed transaction": func(own dbtx, _ *sql.Stmt) func() error {
			_, _ = own.ExecContext(t.Context(), "select 1/0")
			return nil
		},
		"open rows": func(_ dbtx, stmt *sql.Stmt) func() error {
			rows, err := firstOf(stmt.QueryContext(t.Context(), 100000))
			if err != nil {
				t.Error(err)
			}
			return rows.Close
		},
		"closed twice": func(_ dbtx, stmt *sql.Stmt) func() error { return stmt.Close },
		"gone by itself": func(own dbtx, _ *sql.Stmt) func() error {
			_, err := own.ExecContext(t.Context(), forget)
			return func() error { return err }
		},
		"another's, of the same connection later": func(dbtx, *sql.Stmt) func() error { return nil },
		"lost connection": func(own dbtx, _ *sql.Stmt) func() error {
			_, _ = own.ExecContext(t.Context(), "select pg_terminate_backend(pg_backend_pid())")
			return nil
		},
	} {
		for owner, give := range owners {
			if owner == "Session.DB" {
				continue // its statements are closed by the session's
			}
			t.Run(trouble+"/"+owner, func(t *testing.T) {
				var stmt *sql.Stmt
				err := give(t.Context(), p, func(own dbtx) (err error) {
					if stmt, err = own.PrepareContext(t.Context(), "select generate_series(1, $1::int)"); err != nil {
						return err
					}
					end := bring(own, stmt)
					if trouble == "another's, of the same connection later" {
						return nil
					}
					if err := stmt.Close(); err != nil {
						t.Error(err)
					}
					if end != nil {
						return end()
					}
					return nil
				})
				if err != nil && trouble != "failed transaction" && trouble != "lost connection" {
					t.Error(err)
				}
				c, err := p.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				other, err := c.PrepareContext(t.Context(), "select generate_series(1, $1::int)")
				if err != nil {
					t.Fatal(err)
				}
				_ = stmt.Close()
				if n, _ := named(t, c); n != 1 {
					t.Errorf("%d prepared: the former holder's Close ended another's", n)
				}
				if err := errors.Join(other.Close(), c.Close()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	if n := p.Stats().InUse; n != 0 {
		t.Errorf("%d in use", n)
	}
}

// TestPreparedStatementsDiscarded ends all prepared statements of a session as SQL, in
// every kind of use. What others run on the connection afterwards, alone, prepared
// or in a pipeline, is prepared anew.
func TestPreparedStatementsDiscarded(t *testing.T) {
	everybody := maps.Clone(owners)
	everybody["Pool"] = func(_ context.Context, p *Pool, work func(dbtx) error) error { return work(p) }
	for _, end := range []string{"discard all", "DEALLOCATE ALL", "select 'discard'; deallocate prepare all", "do 'begin execute ''deallocate all''; end'", "/* x */ deallocate\nall"} {
		p := openShared(t, 1, 0, nil)
		stmt, err := p.PrepareContext(t.Context(), "select $1::int + 2")
		if err != nil {
			t.Fatal(err)
		}
		for owner, give := range everybody {
			for range 3 {
				var all sync.WaitGroup
				for i := range 8 {
					all.Go(func() {
						var one, two int
						err := p.QueryRowContext(t.Context(), "select $1::int + 1", i).Scan(&one)
						err = errors.Join(err, stmt.QueryRowContext(t.Context(), i).Scan(&two))
						if err != nil || one != i+1 || two != i+2 {
							t.Errorf("%s by %s: %d, %d, %v", end, owner, one, two, err)
						}
					})
				}
				all.Wait()
				_ = give(t.Context(), p, func(own dbtx) error { // DISCARD ALL fails in a transaction
					_, err := own.ExecContext(t.Context(), end)
					return err
				})
			}
		}
		if s := p.Stats(); s.OpenedCount != 1 || s.InUse != 0 {
			t.Errorf("%s: %d opened, %d in use", end, s.OpenedCount, s.InUse)
		}
		_ = stmt.Close()
		p.Close()
	}
}
