package pool

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// leaving are ways to leave something behind in a session, and a question that
// the next caller answers with true if it finds it.
var leaving = map[string]struct{ leave, found string }{
	"SET":                       {"set work_mem = '77MB'", "select current_setting('work_mem') = '77MB'"},
	"SET of what is reported":   {"set TimeZone = 'Asia/Tokyo'", "select current_setting('TimeZone') = 'Asia/Tokyo'"},
	"SET statement_timeout":     {"set statement_timeout = '77s'", "select current_setting('statement_timeout') = '77s'"},
	"set_config":                {"select set_config('app.tenant', 'a', false)", "select coalesce(current_setting('app.tenant', true), '') = 'a'"},
	"SET ROLE":                  {"set role other", "select current_user = 'other'"},
	"SET SESSION AUTHORIZATION": {"set session authorization other", "select session_user = 'other'"},
	"a temporary table":         {"create temporary table mine ()", "select to_regclass('pg_temp.mine') is not null"},
	"an advisory lock":          {"select pg_advisory_lock(77)", "select exists (select from pg_locks where locktype = 'advisory' and objid = 77 and pid = pg_backend_pid())"},
	"LISTEN":                    {"listen news", "select exists (select from pg_listening_channels())"},
	"a sequence":                {"select nextval('numbers')", "select lastval() is not null"},
	"a cursor WITH HOLD":        {"declare c cursor with hold for select 1", "select exists (select from pg_cursors where name = 'c')"},
}

// faces are the ways to a session.
var faces = map[string]func(ctx context.Context, p *Pool, statement string) error{
	"Pool": func(ctx context.Context, p *Pool, statement string) error {
		_, err := p.ExecContext(ctx, statement)
		return err
	},
	"Conn": func(ctx context.Context, p *Pool, statement string) error {
		c, err := p.Conn(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.ExecContext(ctx, statement)
		return err
	},
	"Session": func(ctx context.Context, p *Pool, statement string) error {
		return p.WithSession(ctx, func(ctx context.Context, s *Session) error {
			_, err := s.ExecContext(ctx, statement)
			return err
		})
	},
	"DB": func(ctx context.Context, p *Pool, statement string) error {
		_, err := p.DB().ExecContext(ctx, statement)
		return err
	},
}

// TestReset leaves everything behind by every face. With DB_RESET=discard the
// next caller has the same session and finds nothing of it, and what was prepared
// there before still runs; without it finds all but the statement_timeout.
func TestReset(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	srv.Exec(t, "create role other; create sequence numbers; grant all on sequence numbers to other")
	for _, mode := range []config.ResetMode{config.ResetOff, config.ResetDiscard} {
		for face, do := range faces {
			for name, way := range leaving {
				t.Run(fmt.Sprintf("%s/%s/%s", mode, face, name), func(t *testing.T) {
					cfg := settled(srv.URL, 1, 0)
					cfg.Reset, cfg.Fleet = mode, config.FleetOff
					p := open(t, cfg)
					before := backendAndPrepared(t, p)
					if err := do(t.Context(), p, way.leave); err != nil {
						t.Fatal(err)
					}
					var found bool
					err := p.QueryRowContext(t.Context(), way.found).Scan(&found)
					none := err != nil && strings.Contains(err.Error(), "not yet defined in this session") // lastval()
					if err != nil && !none {
						t.Fatal(err)
					}
					if want := mode == config.ResetOff && name != "SET statement_timeout"; found != want {
						t.Errorf("found %v, want %v", found, want)
					}
					if mode == config.ResetDiscard && backendAndPrepared(t, p) != before {
						t.Error("it is another session")
					}
					if st := p.Stats().StatementTimeout; !st.InForce || timeoutOf(t, p) != "30s" {
						t.Errorf("Stats say %+v, the session %s", st, timeoutOf(t, p))
					}
				})
			}
		}
	}
}

// backendAndPrepared runs a statement that pgx has prepared, and says in which session.
func backendAndPrepared(t *testing.T, p *Pool) (pid int) {
	t.Helper()
	if err := p.QueryRowContext(t.Context(), "select pg_backend_pid() + $1::int", 0).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

func timeoutOf(t *testing.T, p *Pool) (timeout string) {
	t.Helper()
	if err := p.QueryRowContext(t.Context(), "select current_setting('statement_timeout')").Scan(&timeout); err != nil {
		t.Fatal(err)
	}
	return timeout
}

// TestTimeoutIsRestored changes statement_timeout in all ways that a text shows,
// prepared ones that run again included. What SET LOCAL changes costs nothing.
func TestTimeoutIsRestored(t *testing.T) {
	p := openShared(t, 1, 0, func(c *config.Config) { c.Fleet = config.FleetOff })
	defer p.Close()
	for range 3 {
		for _, change := range []func() error{
			func() error {
				return p.QueryRowContext(t.Context(), "select set_config('statement_timeout', $1, false)", "77s").Scan(new(string))
			},
			func() error { _, err := p.ExecContext(t.Context(), "SET STATEMENT_TIMEOUT TO 77"); return err },
			func() error {
				_, err := p.ExecContext(t.Context(), "set local statement_timeout = 1; set statement_timeout = 0")
				return err
			},
			func() error {
				return p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
					_, err := s.ExecContext(ctx, "set statement_timeout = 0")
					return err
				})
			},
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			if got := timeoutOf(t, p); got != "30s" {
				t.Errorf("statement_timeout is %s", got)
			}
		}
	}
}

// TestResetKeepsTheFleetsLocks has the session's advisory locks be the fleet's own.
func TestResetKeepsTheFleetsLocks(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	cfg := settled(srv.URL, 1, 0)
	cfg.Reset, cfg.Fleet = config.ResetDiscard, config.FleetEnforce
	p := open(t, cfg)
	locks := func() (n int) {
		if err := p.QueryRowContext(t.Context(), "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := locks()
	for range 3 {
		if _, err := p.ExecContext(t.Context(), "set work_mem = '77MB'"); err != nil {
			t.Fatal(err)
		}
		if n := locks(); n != first || n == 0 {
			t.Errorf("%d advisory locks, want %d", n, first)
		}
	}
}

// TestChangesAreToldOf warns once of each parameter and caller that the server
// reported, and not of what ended with its transaction.
func TestChangesAreToldOf(t *testing.T) {
	log := &logLines{}
	p := openShared(t, 1, 0, func(c *config.Config) { c.Fleet = config.FleetOff }, WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
	defer p.Close()
	mustDo := func(face, statement string) {
		t.Helper()
		if err := faces[face](t.Context(), p, statement); err != nil {
			t.Fatal(err)
		}
	}
	mustDo("Session", "set local TimeZone = 'Asia/Tokyo'")
	tx, err := p.BeginTx(t.Context(), &sql.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "set application_name = 'of a transaction'"); err != nil || tx.Rollback() != nil {
		t.Fatal(err)
	}
	const words = "a caller changed its session"
	for i := range 3 {
		mustDo("Pool", fmt.Sprintf("set DateStyle = '%s'", []string{"German", "ISO", "SQL"}[i]))
	}
	mustDo("Conn", "set TimeZone = 'Asia/Tokyo'")
	until(t, 5*time.Second, "it is told", func() bool { return log.contains(`"parameter":"TimeZone"`) })
	if n := log.count(words); n != 2 || !log.contains(`"parameter":"DateStyle"`) {
		t.Errorf("%d warnings, want one for each parameter:\n%s", n, log.buf.String())
	}
	for _, part := range []string{"leftbehind_server_test.go:", "SET LOCAL", "DB_RESET=discard"} {
		if !log.contains(part) {
			t.Errorf("the log does not say %q", part)
		}
	}
	if log.contains("Tokyo") || log.contains("German") {
		t.Error("the log shows a value")
	}
}

func (l *logLines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

// BenchmarkReset is the price of DB_RESET, for one statement at a time and where
// each use is a transaction of five.
func BenchmarkReset(b *testing.B) {
	srv := pgtest.Start(b, pgtest.Options{})
	for _, mode := range []config.ResetMode{config.ResetOff, config.ResetDiscard} {
		cfg := settled(srv.URL, 2, 0)
		cfg.Reset, cfg.Fleet = mode, config.FleetOff
		p := open(b, cfg)
		b.Run("statement/"+string(mode), func(b *testing.B) {
			for b.Loop() {
				if _, err := p.ExecContext(b.Context(), "select $1::int", 1); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("transaction/"+string(mode), func(b *testing.B) {
			for b.Loop() {
				err := p.WithSession(b.Context(), func(ctx context.Context, s *Session) error {
					for range 5 {
						if _, err := s.ExecContext(ctx, "select $1::int", 1); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
