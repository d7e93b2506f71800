package pool

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestFirstStatements runs statements of all sorts as the first of a session, in
// each of pgx's modes: they are in its transaction, with its properties, and what
// they do is kept or undone with it.
func TestFirstStatements(t *testing.T) {
	srv := pgtest.Shared(t)
	outside := open(t, settled(srv.URL, 1, 0))
	if _, err := outside.ExecContext(t.Context(), "create table firsts (n int)"); err != nil {
		t.Fatal(err)
	}
	statements := map[string]func(ctx context.Context, s *Session) error{
		"exec": func(ctx context.Context, s *Session) error { return justExec(ctx, s, "insert into firsts values (1)") },
		"arguments": func(ctx context.Context, s *Session) error {
			return justExec(ctx, s, "insert into firsts values ($1)", 1)
		},
		"several": func(ctx context.Context, s *Session) error {
			return justExec(ctx, s, "select 1; insert into firsts values (1)")
		},
		"semicolon": func(ctx context.Context, s *Session) error {
			return justExec(ctx, s, "insert into firsts values (1) ;\n")
		},
		"in a literal": func(ctx context.Context, s *Session) error {
			return justExec(ctx, s, "insert into firsts values (length(';'))")
		},
		"returning": func(ctx context.Context, s *Session) error {
			return justScan(ctx, s, "insert into firsts values (1) returning n")
		},
		"simple": func(ctx context.Context, s *Session) error {
			return justExec(ctx, s, "insert into firsts values ($1)", pgx.QueryExecModeSimpleProtocol, 1)
		},
		"named arguments": func(ctx context.Context, s *Session) error {
			return justExec(ctx, s, "insert into firsts values (@n)", pgx.NamedArgs{"n": 1})
		},
		"set transaction": func(ctx context.Context, s *Session) error {
			return errors.Join(justExec(ctx, s, "set transaction isolation level serializable"), justExec(ctx, s, "insert into firsts values (1)"))
		},
		"prepared": func(ctx context.Context, s *Session) error {
			stmt, err := s.PrepareContext(ctx, "insert into firsts values ($1)")
			if err == nil {
				_, err = stmt.ExecContext(ctx, 1)
			}
			return err
		},
		"COPY": func(ctx context.Context, s *Session) error {
			return s.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
				_, err := c.CopyFrom(ctx, pgx.Identifier{"firsts"}, []string{"n"}, pgx.CopyFromRows([][]any{{1}}))
				return err
			})
		},
		"savepoint": func(ctx context.Context, s *Session) error {
			tx, err := s.DB().BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, "insert into firsts values (1)")
			return errors.Join(err, tx.Commit())
		},
		"COPY without data": func(ctx context.Context, s *Session) error {
			if err := justExec(ctx, s, "copy firsts from stdin"); err == nil {
				return errors.New("a COPY without data succeeded")
			}
			return errBoom
		},
	}
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		p := open(t, settled(withParam(srv.URL, "default_query_exec_mode", mode), 1, 0))
		for name, work := range statements {
			undone := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
				if err := work(ctx, s); err != nil {
					return err
				}
				var level string
				if err := s.QueryRowContext(ctx, "show transaction_isolation").Scan(&level); err != nil || level != "serializable" {
					t.Errorf("%s, %s: %q, %v", mode, name, level, err)
				}
				return errBoom
			}, WithIsolation(sql.LevelSerializable))
			if !errors.Is(undone, errBoom) {
				t.Errorf("%s, %s: %v", mode, name, undone)
			}
			if n := scanInt(t, outside, "select count(*) from firsts"); n != 0 {
				t.Fatalf("%s, %s: %d rows were kept", mode, name, n)
			}
			if name == "COPY without data" {
				continue
			}
			if err := p.WithSession(t.Context(), work); err != nil {
				t.Errorf("%s, %s: %v", mode, name, err)
			}
			if n := scanInt(t, outside, "with gone as (delete from firsts returning 1) select count(*) from gone"); n != 1 {
				t.Errorf("%s, %s: %d rows, want 1", mode, name, n)
			}
		}
	}
}

func justExec(ctx context.Context, s *Session, sql string, args ...any) error {
	_, err := s.ExecContext(ctx, sql, args...)
	return err
}

func justScan(ctx context.Context, s *Session, sql string) error {
	return s.QueryRowContext(ctx, sql).Scan(new(int))
}

func scanInt(t *testing.T, p *Pool, sql string) (n int) {
	t.Helper()
	if err := p.QueryRowContext(context.Background(), sql).Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

func withParam(url, name, value string) string {
	sep := "?"
	if strings.Contains(url, "?") {
		sep = "&"
	}
	return url + sep + name + "=" + value
}

// TestFirstStatementFails has the first statement fail on the server: the error is
// its own, with the position in its own text, and the transaction cannot go on.
func TestFirstStatementFails(t *testing.T) {
	srv := pgtest.Shared(t)
	p := open(t, settled(srv.URL, 1, 0))
	justPrepare := func(ctx context.Context, s *Session, query string, _ ...any) error {
		_, err := s.PrepareContext(ctx, query)
		return err
	}
	for query, first := range map[string]func(context.Context, *Session, string, ...any) error{
		"selec 1": justExec, "select 1/0": justExec, "select nothing;": justExec, "select nowhere": justPrepare, "selec 2": justPrepare,
		"select 1 where 1 = $1": justExec, "select $1::int;": justExec,
	} {
		var alone *pgconn.PgError
		if _, err := p.ExecContext(t.Context(), query); !errors.As(err, &alone) {
			t.Fatal(err)
		}
		err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
			err := first(ctx, s, query)
			var pg *pgconn.PgError
			if !errors.As(err, &pg) || s.Unserved() != nil || pg.Position != alone.Position || pg.Code != alone.Code || pg.Message != alone.Message {
				t.Errorf("%q: %v, alone %v; unserved: %v", query, err, alone, s.Unserved())
			}
			if err := justExec(ctx, s, "select 1"); pgdriver.SQLState(err) != "25P02" {
				t.Errorf("%q: the transaction goes on: %v", query, err)
			}
			return nil
		})
		if !errors.Is(err, pgx.ErrTxCommitRollback) {
			t.Errorf("%q: %v", query, err)
		}
	}
}
