package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// TestSessionRoundTrips counts the round trips of sessions by the time that they
// take through a network with a lag.
func TestSessionRoundTrips(t *testing.T) {
	const lag = time.Millisecond
	exec := func(text string) func(context.Context, *Session) error {
		return func(ctx context.Context, s *Session) error { _, err := s.ExecContext(ctx, text); return err }
	}
	query := func(ctx context.Context, s *Session) error {
		var n string
		return s.QueryRowContext(ctx, "select n").Scan(&n)
	}
	three := func(ctx context.Context, s *Session) error {
		for range 3 {
			if err := query(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
	tests := map[string]struct {
		work func(context.Context, *Session) error
		opts []SessionOption
		want time.Duration
	}{
		"nothing":                {func(context.Context, *Session) error { return nil }, nil, 0},
		"one without arguments":  {exec("insert something;"), nil, 2},
		"one query":              {query, nil, 2},
		"three":                  {three, nil, 4},
		"isolation":              {query, []SessionOption{WithIsolation(sql.LevelSerializable)}, 2},
		"WithBegin":              {query, []SessionOption{WithBegin(query)}, 3},
		"autocommit":             {query, []SessionOption{WithAutocommit()}, 2}, // one of them a look at the socket, which memory has not
		"several in one text":    {exec("insert one; insert two"), nil, 3},
		"one word":               {exec("word"), nil, 3}, // may be a prepared statement's name
		"empty":                  {exec(""), nil, 3},
		"savepoint":              {func(ctx context.Context, s *Session) error { return inSavepoint(ctx, s) }, nil, 4},
		"pgx first":              {func(ctx context.Context, s *Session) error { return s.WithPgx(ctx, pgxPing) }, nil, 3},
		"prepared":               {prepareAndRun, nil, 4}, // BEGIN, the preparation, the statement, COMMIT
		"commit of its own":      {func(ctx context.Context, s *Session) error { _ = query(ctx, s); return s.Commit() }, nil, 2},
		"rolled back":            {func(ctx context.Context, s *Session) error { _ = query(ctx, s); return s.Rollback() }, nil, 2},
		"pgx's option, a simple": {func(ctx context.Context, s *Session) error { return simpleQuery(ctx, s) }, nil, 3},
	}
	edit := func(c *config.Config) { c.PoolSize, c.MaxOverflow = 1, 0 }
	inWire(t, edit, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.with(func(f *wireFaults) { f.lag = lag })
		if err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error { _ = query(ctx, s); return prepareAndRun(ctx, s) }); err != nil {
			t.Fatal(err) // what is prepared stays so
		}
		for name, test := range tests {
			began := time.Now()
			if err := p.WithSession(t.Context(), test.work, test.opts...); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(began); took != test.want*2*lag {
				t.Errorf("%s: %s, want %d round trips of %s", name, took, test.want, 2*lag)
			}
		}
		if _, _, opened := s.figures(); opened != 1 {
			t.Errorf("%d connections were opened", opened)
		}
	})
}

func inSavepoint(ctx context.Context, s *Session) error {
	tx, err := s.DB().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "insert in it"); err != nil {
		return err
	}
	return tx.Commit()
}

func pgxPing(ctx context.Context, c *pgx.Conn) error { return c.Ping(ctx) }

func prepareAndRun(ctx context.Context, s *Session) error {
	stmt, err := s.PrepareContext(ctx, "select n")
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(ctx)
	return err
}

func simpleQuery(ctx context.Context, s *Session) error {
	rows, err := s.QueryContext(ctx, "select n", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	return rows.Close()
}

// TestSessionBeginsElsewhere has the connection end at each message of a session's
// first statement. What the server has not begun is begun on another connection;
// what it has may have been done, and is not done twice.
func TestSessionBeginsElsewhere(t *testing.T) {
	tests := map[string]struct {
		at    func(msg pgproto3.FrontendMessage) bool
		words bool // the server says why
		again bool
	}{
		"at BEGIN":                           {isParse("begin"), false, true},
		"at BEGIN, with words":               {isParse("begin"), true, true},
		"at BEGIN's execution":               {isExecute, false, true},
		"behind BEGIN, at the statement":     {isParse("insert one"), false, false},
		"behind BEGIN, with words, the same": {isParse("insert one"), true, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				var done int
				s.with(func(f *wireFaults) {
					f.script = func(w *wireSession, msg pgproto3.FrontendMessage) bool {
						if isParse("insert one")(msg) {
							done++
						}
						if w.PID != 1 || !test.at(msg) {
							return true
						}
						if test.words {
							w.Send(goodbye)
						}
						return false
					}
				})
				err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
					_, err := s.ExecContext(ctx, "insert one")
					if err == nil && s.Unserved() != nil {
						t.Error(s.Unserved())
					}
					return err
				})
				_, _, opened := s.figures()
				if test.again && (err != nil || opened != 2) || !test.again && (err == nil || opened != 1) || done != 1 {
					t.Errorf("%v; %d connections, sent %d times", err, opened, done)
				}
			})
		})
	}
}

func isParse(prefix string) func(pgproto3.FrontendMessage) bool {
	return func(msg pgproto3.FrontendMessage) bool {
		m, ok := msg.(*pgproto3.Parse)
		return ok && strings.HasPrefix(m.Query, prefix)
	}
}

func isExecute(msg pgproto3.FrontendMessage) bool { _, ok := msg.(*pgproto3.Execute); return ok }

// TestBeginIsRefused has the server refuse a BEGIN that came with a statement: the
// statement returns the error and was not executed, and the next one tries again.
func TestBeginIsRefused(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		refusal := &pgproto3.ErrorResponse{Severity: "ERROR", Code: "0A000", Message: "not on a standby"}
		s.with(func(f *wireFaults) { f.begin = refusal })
		err := p.WithSession(t.Context(), func(ctx context.Context, session *Session) error {
			for name, run := range map[string]func() error{
				"exec":  func() error { _, err := session.ExecContext(ctx, "insert one"); return err },
				"query": func() error { return session.QueryRowContext(ctx, "select n").Scan(new(string)) },
			} {
				if err := run(); pgdriver.SQLState(err) != "0A000" || session.Unserved() != err {
					t.Errorf("%s: %v, unserved: %v", name, err, session.Unserved())
				}
			}
			s.with(func(f *wireFaults) { f.begin = nil })
			_, err := session.ExecContext(ctx, "insert two")
			if err != nil || session.Unserved() != nil {
				t.Errorf("%v, unserved: %v", err, session.Unserved())
			}
			return err
		})
		if _, _, opened := s.figures(); err != nil || opened != 1 {
			t.Errorf("%v; %d connections", err, opened)
		}
	})
}

type explodes struct{}

func (explodes) Value() (driver.Value, error) { panic("no value") }

// TestFirstStatementThatIsNotSent has first statements fail on this side: the
// transaction has not begun, and its end costs nothing.
func TestFirstStatementThatIsNotSent(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		s.with(func(f *wireFaults) {
			f.script = func(_ *wireSession, msg pgproto3.FrontendMessage) bool {
				if q, ok := msg.(*pgproto3.Query); ok && (q.String == "commit" || q.String == "rollback") {
					t.Errorf("%s of a transaction that never began", q.String)
				}
				return true
			}
		})
		err := p.WithSession(t.Context(), func(_ context.Context, s *Session) error {
			if _, err := s.ExecContext(ended, "insert one"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			return nil
		}, WithIsolation(sql.LevelSerializable))
		if err != nil {
			t.Error(err)
		}
	})
}

// TestPanicInTheFirstStatement has its argument panic: that goes on to the caller,
// and what the session did until then is undone.
func TestPanicInTheFirstStatement(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		var value any
		func() {
			defer func() { value = recover() }()
			_ = p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
				_, err := s.ExecContext(ctx, "insert $1", pgx.QueryExecModeExec, explodes{})
				return err
			})
		}()
		if value != "no value" {
			t.Errorf("recovered %v", value)
		}
		if err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
			_, err := s.ExecContext(ctx, "insert one")
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}
