package pool

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

func queryOne(text string) func(context.Context, *Session) error {
	return func(ctx context.Context, s *Session) error {
		return s.QueryRowContext(ctx, text).Scan(new(string))
	}
}

// TestReadOnlyCommitIsNotWaitedFor counts the round trips that read-only sessions, one
// right after the other on the same connection, make their callers wait for.
func TestReadOnlyCommitIsNotWaitedFor(t *testing.T) {
	const lag = time.Millisecond
	one := queryOne("select n from t where id = 1")
	readOnly := []SessionOption{WithReadOnly()}
	tests := map[string]struct {
		work func(context.Context, *Session) error
		opts []SessionOption
		want time.Duration
	}{
		"one query":    {one, readOnly, 1},
		"three":        {all(one, one, one), readOnly, 3},
		"exec":         {func(ctx context.Context, s *Session) error { _, err := s.ExecContext(ctx, "select 1"); return err }, readOnly, 1},
		"level":        {one, []SessionOption{WithReadOnly(), WithIsolation(sql.LevelRepeatableRead)}, 1},
		"WithBegin":    {one, []SessionOption{WithReadOnly(), WithBegin(one)}, 2},
		"rows left":    {func(ctx context.Context, s *Session) error { _, err := s.QueryContext(ctx, "select n"); return err }, readOnly, 1},
		"nothing":      {all(), readOnly, 0},
		"read-write":   {one, nil, 2},
		"serializable": {one, []SessionOption{WithReadOnly(), WithIsolation(sql.LevelSerializable)}, 2},
		"notifies":     {all(one, queryOne("select pg_notify('a', 'b')")), readOnly, 3},
		"locks":        {queryOne("select pg_advisory_xact_lock(1)"), readOnly, 2},
		"not known":    {queryOne("select of_the_users(n) from t"), readOnly, 2},
		"two in one": {func(ctx context.Context, s *Session) error {
			_, err := s.ExecContext(ctx, "select 1; select 2")
			return err
		}, readOnly, 3},
		"pgx":           {func(ctx context.Context, s *Session) error { return s.WithPgx(ctx, pgxPing) }, readOnly, 3},
		"wants to know": {func(ctx context.Context, s *Session) error { _ = one(ctx, s); return s.Commit() }, readOnly, 2},
		"rolled back":   {func(ctx context.Context, s *Session) error { _ = one(ctx, s); return s.Rollback() }, readOnly, 2},
	}
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.with(func(f *wireFaults) { f.lag = lag })
		for name, test := range tests {
			five := func() {
				for range 5 {
					if err := p.WithSession(t.Context(), test.work, test.opts...); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
			five() // pgx prepares its statements
			began := time.Now()
			five()
			if took := time.Since(began); took != 5*test.want*2*lag {
				t.Errorf("%s: %s, want five times %d round trips of %s", name, took, test.want, 2*lag)
			}
		}
		if _, _, opened := s.figures(); opened != 1 {
			t.Errorf("%d connections were opened", opened)
		}
	})
}

func all(works ...func(context.Context, *Session) error) func(context.Context, *Session) error {
	return func(ctx context.Context, s *Session) error {
		for _, work := range works {
			if err := work(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// nextUses are the ways in which a connection can be used next.
func nextUses() map[string]func(ctx context.Context, p *Pool) error {
	return map[string]func(ctx context.Context, p *Pool) error{
		"query": func(ctx context.Context, p *Pool) error {
			return p.QueryRowContext(ctx, "select 1::text").Scan(new(string))
		},
		"exec":    func(ctx context.Context, p *Pool) error { _, err := p.ExecContext(ctx, "select 2"); return err },
		"ping":    func(ctx context.Context, p *Pool) error { return p.PingContext(ctx) },
		"session": func(ctx context.Context, p *Pool) error { return p.WithSession(ctx, queryOne("select 1::text")) },
		"begin": func(ctx context.Context, p *Pool) error {
			tx, err := p.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			return tx.Commit()
		},
		"prepare": func(ctx context.Context, p *Pool) error {
			stmt, err := p.PrepareContext(ctx, "select 1::text")
			if err != nil {
				return err
			}
			return stmt.Close()
		},
		"pgx": func(ctx context.Context, p *Pool) error {
			return p.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
				if status := c.PgConn().TxStatus(); status != 'I' {
					return fmt.Errorf("status %q", status)
				}
				return c.Ping(ctx)
			})
		},
		"native transaction": func(ctx context.Context, p *Pool) error {
			return pgx.BeginFunc(ctx, p.Pgx(), func(tx pgx.Tx) error { return tx.QueryRow(ctx, "select 1::text").Scan(new(string)) })
		},
		"native": func(ctx context.Context, p *Pool) error {
			return p.Pgx().QueryRow(ctx, "select 1::text").Scan(new(string))
		},
	}
}

// TestAfterAnUnheardCommit uses a connection in each way right after, and long after, a
// session that has not waited for its COMMIT.
func TestAfterAnUnheardCommit(t *testing.T) {
	for name, use := range nextUses() {
		for _, rest := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, time.Hour} {
			inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				s.with(func(f *wireFaults) { f.lag = time.Millisecond })
				for range 3 {
					if err := p.WithSession(t.Context(), queryOne("select 1::text"), WithReadOnly()); err != nil {
						t.Fatal(err)
					}
					if st := p.Stats(); st.InUse != 0 {
						t.Errorf("%s: %d in use after the session's end", name, st.InUse)
					}
					time.Sleep(rest)
					if err := use(t.Context(), p); err != nil {
						t.Errorf("%s after %s: %v", name, rest, err)
					}
				}
				if _, _, opened := s.figures(); opened > 1 && rest < time.Hour {
					t.Errorf("%s: %d connections were opened", name, opened)
				}
			})
		}
	}
}

// TestUnheardCommitFails has the server answer COMMIT with an error, or with the end of
// the session. That is nobody's error: the next caller gets its own answer.
func TestUnheardCommitFails(t *testing.T) {
	tests := map[string]struct {
		answer *pgproto3.ErrorResponse
		rest   time.Duration
		told   bool
	}{
		"error":            {&pgproto3.ErrorResponse{Severity: "ERROR", Code: "40001", Message: "conflict with recovery"}, 0, true},
		"error, heard":     {&pgproto3.ErrorResponse{Severity: "ERROR", Code: "40001", Message: "conflict with recovery"}, time.Minute, true},
		"last word":        {goodbye, 0, false},
		"last word, heard": {goodbye, time.Minute, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, log *logLines) {
				s.with(func(f *wireFaults) { f.commit = test.answer })
				if err := p.WithSession(t.Context(), queryOne("select 1::text"), WithReadOnly()); err != nil {
					t.Fatal(err)
				}
				if test.answer == goodbye {
					synctest.Wait()
					s.kill(everyone)
				}
				time.Sleep(test.rest)
				for range 2 {
					if err := p.QueryRowContext(t.Context(), "select m").Scan(new(string)); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(2 * time.Second) // the housekeeper's round
				if told := log.contains("conflict with recovery"); told != test.told {
					t.Errorf("logged: %t", told)
				}
			})
		})
	}
}

// TestReadOnlyCommitOnServer has a real server execute the COMMIT that nobody waits for,
// although nobody uses the connection after it.
func TestReadOnlyCommitOnServer(t *testing.T) {
	srv := pgtest.Shared(t)
	cfg := settled(srv.URL, 1, 0)
	cfg.Fleet, cfg.ApplicationName = config.FleetOff, "unheard"
	p := open(t, cfg)
	if err := p.WithSession(t.Context(), queryOne("select txid_current_snapshot()::text"), WithReadOnly(), WithIsolation(sql.LevelRepeatableRead)); err != nil {
		t.Fatal(err)
	}
	if p.Stats().InUse != 0 {
		t.Errorf("%+v", p.Stats())
	}
	observer := open(t, settled(srv.URL, 1, 0))
	until(t, 10*time.Second, "the transaction has ended", func() bool {
		var ended bool
		err := observer.QueryRowContext(t.Context(), `select state = 'idle' and backend_xmin is null and query = 'commit'
			from pg_stat_activity where application_name = 'unheard'`).Scan(&ended)
		return err == nil && ended
	})
	err := p.WithPgx(t.Context(), func(ctx context.Context, c *pgx.Conn) error {
		if status := c.PgConn().TxStatus(); status != 'I' {
			t.Errorf("status %q", status)
		}
		var level string
		err := c.QueryRow(ctx, "show transaction_isolation").Scan(&level)
		if level != "read committed" {
			t.Error(level)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestNotifyOfReadOnlySession: what a READ ONLY transaction notifies is sent when
// WithSession has returned, as before.
func TestNotifyOfReadOnlySession(t *testing.T) {
	srv := pgtest.Shared(t)
	p := open(t, settled(srv.URL, 2, 0))
	err := p.WithPgx(t.Context(), func(ctx context.Context, listener *pgx.Conn) error {
		if _, err := listener.Exec(ctx, "listen news"); err != nil {
			return err
		}
		for range 20 {
			if err := p.WithSession(ctx, func(ctx context.Context, s *Session) error {
				_, err := s.ExecContext(ctx, "select pg_notify('news', '')")
				return err
			}, WithReadOnly()); err != nil {
				return err
			}
			if err := listener.Ping(ctx); err != nil { // brings what was sent before it
				return err
			}
			now, stop := context.WithTimeout(ctx, time.Second)
			_, err := listener.WaitForNotification(now)
			stop()
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestAfterAnUnheardCommitOnServer does so on a real server, in each of pgx's modes, with
// sessions that are reset, and over TLS.
func TestAfterAnUnheardCommitOnServer(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	withTLS(t, srv)
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		for _, reset := range []config.ResetMode{config.ResetOff, config.ResetDiscard} {
			cfg := settled(with(srv.URL, map[string]string{"default_query_exec_mode": mode, "sslmode": "require"}), 1, 0)
			cfg.Reset, cfg.Fleet = reset, config.FleetOff
			p := open(t, cfg)
			for name, use := range nextUses() {
				for i := range 5 {
					if err := p.WithSession(t.Context(), queryOne("select 1::text"), WithReadOnly()); err != nil {
						t.Errorf("%s, %s: %v", mode, name, err)
					}
					if err := use(t.Context(), p); err != nil {
						t.Errorf("%s, %s, %d: %v", mode, name, i, err)
					}
				}
			}
			if st := p.Stats(); st.OpenedCount != 1 || st.InUse != 0 {
				t.Errorf("%s: opened %d, in use %d", mode, st.OpenedCount, st.InUse)
			}
			_ = p.Close()
		}
	}
}
