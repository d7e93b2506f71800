package pool

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// notesIn counts the rows of notes, from outside of any session.
func notesIn(t *testing.T, p *Pool) (n int) {
	t.Helper()
	if err := p.QueryRowContext(t.Context(), "select count(*) from notes").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// copyNotes copies two rows into notes.
func copyNotes(ctx context.Context, c *pgx.Conn) error {
	_, err := c.CopyFrom(ctx, pgx.Identifier{"notes"}, []string{"n"}, pgx.CopyFromRows([][]any{{1}, {2}}))
	return err
}

// What the function of Session.WithPgx does is part of the session's transaction:
// committed with it, and undone by an error, a panic and the end of its context.
func TestSessionWithPgx(t *testing.T) {
	p := openPipelining(t, pgtest.Shared(t), 1, nil)
	if _, err := p.ExecContext(t.Context(), "drop table if exists notes; create table notes (n int)"); err != nil {
		t.Fatal(err)
	}
	work := func(ctx context.Context, then func(context.Context, *pgx.Conn) error) error {
		return p.WithSession(ctx, func(ctx context.Context, s *Session) error {
			return s.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
				if err := copyNotes(ctx, c); err != nil {
					return err
				}
				return then(ctx, c)
			})
		})
	}
	keep := func(context.Context, *pgx.Conn) error { return nil }
	if err := work(t.Context(), keep); err != nil || notesIn(t, p) != 2 {
		t.Errorf("committed: %v, %d rows", err, notesIn(t, p))
	}
	if err := work(t.Context(), func(context.Context, *pgx.Conn) error { return errBoom }); err != errBoom {
		t.Errorf("an error: %v", err)
	}
	if v := recovered(func() { _ = work(t.Context(), func(context.Context, *pgx.Conn) error { panic("x") }) }); v != "x" {
		t.Errorf("a panic: %v", v)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	err := work(ctx, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "select pg_sleep(60)")
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("its context ended: %v", err)
	}
	if n := notesIn(t, p); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	if s := p.Stats(); s.InUse != 0 {
		t.Errorf("in use: %d", s.InUse)
	}
}

// A function that ends the session's transaction is found out, whatever it begins after that.
func TestSessionWithPgxEndsItsTransaction(t *testing.T) {
	p := openPipelining(t, pgtest.Shared(t), 1, nil)
	for name, statements := range map[string][]string{
		"commit":                 {"commit"},
		"rollback, then another": {"rollback", "begin", "select 1"},
		"commit, then more":      {"commit", "select 1"},
	} {
		err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
			return s.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
				for _, sql := range statements {
					if _, err := c.Exec(ctx, sql); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if !errors.Is(err, ErrTransactionEnded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		return s.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "savepoint a; select 1; rollback to a")
			return err
		})
	})
	if err != nil {
		t.Errorf("a savepoint: %v", err)
	}
}

// While the connection is lent nothing else of the session waits for it: the
// function itself may be what calls.
func TestSessionWithPgxWaitsForNothing(t *testing.T) {
	p := openPipelining(t, pgtest.Shared(t), 1, nil)
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		rows, err := s.QueryContext(ctx, "select generate_series(1, 10)")
		if err != nil {
			return err
		}
		if err := s.WithPgx(ctx, nil); err != errStillReading {
			t.Errorf("beside open rows: %v", err)
		}
		if err := rows.Close(); err != nil {
			return err
		}
		stmt, err := s.PrepareContext(ctx, "select 1")
		if err != nil {
			return err
		}
		return s.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
			if h := p.Holders(0); len(h) != 1 {
				t.Errorf("holders %v", h)
			}
			for name, err := range map[string]error{
				"exec": func() error { _, err := s.ExecContext(ctx, "select 1"); return err }(),
				"row":  s.QueryRowContext(ctx, "select 1").Scan(new(int)),
				"stmt": stmt.QueryRowContext(ctx).Scan(new(int)),
				"db": func() error {
					_, err := s.DB().ExecContext(ctx, "select 1")
					return err
				}(),
				"nested":   s.WithPgx(ctx, nil),
				"commit":   s.Commit(),
				"rollback": s.Rollback(),
			} {
				if !errors.Is(err, errLent) {
					t.Errorf("%s: %v", name, err)
				}
			}
			return errors.Join(stmt.Close(), c.Ping(ctx))
		})
	})
	if err != nil {
		t.Error(err)
	}
	if err := (*Session)(nil).WithPgx(t.Context(), nil); err != ErrNoSession {
		t.Errorf("without a session: %v", err)
	}
	err = p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		if err := s.Rollback(); err != nil {
			return err
		}
		if err := s.WithPgx(ctx, nil); !errors.Is(err, ErrSessionDone) {
			t.Errorf("after its end: %v", err)
		}
		return nil
	}, WithReadOnly(), WithIsolation(sql.LevelSerializable))
	if err != nil {
		t.Error(err)
	}
}
