package pool

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/gate"
)

var (
	lineNumber = regexp.MustCompile(`(_test\.go):\d+`)
	processID  = regexp.MustCompile(`(_backend)\(\d+\)`)
)

// wantText compares an error's text with want, line numbers and processes aside.
func wantText(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if got := processID.ReplaceAllString(lineNumber.ReplaceAllString(err.Error(), "$1:N"), "$1(P)"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func wantVerdict(t *testing.T, err, kind error, want Verdict) *AcquireError {
	t.Helper()
	var e *AcquireError
	if !errors.As(err, &e) || !errors.Is(err, kind) || e.Verdict != want {
		t.Fatalf("%v, want %v and %q", err, kind, want)
	}
	return e
}

func orders(poolSize, overflow int) func(*config.Config) {
	return func(c *config.Config) { c.Name, c.PoolSize, c.MaxOverflow = "orders", poolSize, overflow }
}

// reclaiming is an edit, with connections taken away after a minute.
func reclaiming(edit func(*config.Config)) func(*config.Config) {
	return func(c *config.Config) { edit(c); c.ReclaimAfter = time.Minute }
}

// refusingNested is an edit, with nested acquisitions refused.
func refusingNested(edit func(*config.Config)) func(*config.Config) {
	return func(c *config.Config) { edit(c); c.Nested = config.NestedRefuse }
}

func TestErrorExplainsALeak(t *testing.T) {
	inWire(t, orders(2, 1), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		tx, err := p.BeginTx(ContextWithName(t.Context(), "GET /report"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		time.Sleep(time.Minute)
		rows, err := p.QueryContext(t.Context(), "select")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		c, err := p.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		time.Sleep(time.Minute)
		_, err = p.ExecContext(t.Context(), "update")
		e := wantVerdict(t, err, ErrPoolTimeout, VerdictLeak)
		if e.Waited != 30*time.Second || len(e.Holders) != 3 || e.Holders[0].PID == 0 || len(e.Holders[0].Stack) == 0 || !e.Holders[0].Leaking {
			t.Errorf("%+v", e)
		}
		wantText(t, err, `pool "orders": no connection within 30s (size 2, overflow 1, in use 3, idle 0, dialing 0, closing 0, waiting 0`+
			`; oldest held 2m30s by pool/explain_test.go:N (GET /report), idle in transaction`+
			`, then 1m30s by pool/explain_test.go:N, rows open, then 1m30s by pool/explain_test.go:N, idle)`+
			`; verdict: leak; 3 of 3 are held without a statement, the longest 2m30s by pool/explain_test.go:N (GET /report), idle in transaction: close rows and end transactions on every path there`)
	})
}

func TestErrorExplainsSlowQueries(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		for range 2 {
			go func() { _, _ = p.ExecContext(ContextWithName(t.Context(), "GET /slow"), "sleep 1m") }()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		_, err := p.ExecContext(within(t, 2*time.Second), "update")
		wantVerdict(t, err, ErrPoolTimeout, VerdictSlow)
		wantText(t, err, `pool "orders": no connection within 2s (size 2, overflow 0, in use 2, idle 0, dialing 0, closing 0, waiting 0`+
			`; oldest held 3s by pool/explain_test.go:N (GET /slow), running, then 3s by pool/explain_test.go:N (GET /slow), running)`+
			`; verdict: slow queries; 2 of 2 run statements that take long, the longest 3s by pool/explain_test.go:N (GET /slow), running: make them faster, or lower DB_STATEMENT_TIMEOUT (30s); at once: select pg_cancel_backend(P)`)
		time.Sleep(time.Minute)
	})
}

func TestErrorExplainsAPoolTooSmall(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		failed := make(chan error, 20)
		for range 20 {
			go func() { _, err := p.ExecContext(t.Context(), "sleep 4s"); failed <- err }()
		}
		time.Sleep(31 * time.Second)
		for range 14 { // in 28 seconds
			if err := <-failed; err != nil {
				t.Fatal(err)
			}
		}
		err := <-failed
		if e := wantVerdict(t, err, ErrPoolTimeout, VerdictSmall); e.Stats.Waiting > 3 || e.Holders[0].Held != 2*time.Second {
			t.Error(err)
		}
		if !strings.HasSuffix(err.Error(), ": raise DB_POOL_SIZE or DB_MAX_OVERFLOW if the server has room, or reduce load") {
			t.Error(err)
		}
		time.Sleep(time.Minute)
	})
}

func TestErrorExplainsAFullServer(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.refuseAll("53300", `too many connections for role "app"`)
		_, err := p.ExecContext(within(t, 3*time.Second), "update")
		e := wantVerdict(t, err, ErrServerFull, VerdictServerFull)
		if !errors.Is(err, ErrPoolTimeout) || !errors.Is(err, context.DeadlineExceeded) || e.Stats.Server.Reason != "role limit" {
			t.Errorf("%+v", e)
		}
		age := e.Stats.At.Sub(e.Stats.LastDialError.At).Round(time.Millisecond).String()
		wantText(t, err, `pool "orders": no connection within 3s (size 2, overflow 0, in use 0, idle 0, dialing 0, closing 0, waiting 0`+
			`; last dial error `+age+` ago: too many connections for role "app" (SQLSTATE 53300))`+
			`; verdict: server full; the server has no room for more connections (role limit) since 3s, and this pool has 0 of 2: lower DB_POOL_SIZE and DB_MAX_OVERFLOW, or raise ALTER ROLE "app" CONNECTION LIMIT`)
	})
}

func TestErrorExplainsAnUnreachableServer(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.deafen()
		_, err := p.ExecContext(within(t, 3*time.Second), "update")
		wantVerdict(t, err, ErrPoolTimeout, VerdictServerDown)
		wantText(t, err, `pool "orders": no connection within 3s (size 2, overflow 0, in use 0, idle 0, dialing 1, closing 0, waiting 0)`+
			`; verdict: server unreachable; no connection can be opened (no answer so far) since 3s, and this pool has no connection: check that the server runs and is reachable`)
		_, err = p.ExecContext(within(t, 15*time.Second), "update") // the dial has ended by then
		e := wantVerdict(t, err, ErrPoolTimeout, VerdictServerDown)
		if !strings.Contains(err.Error(), "last dial error ") || e.Stats.LastDialError.Reason != "no answer" {
			t.Error(err)
		}
	})
}

// The server takes no new login while the pool has a connection: that is no
// server that cannot be reached.
func TestErrorExplainsARejectedLogin(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		c, err := p.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s.refuseAll("28P01", `password authentication failed for user "app"`)
		_, err = p.ExecContext(within(t, 3*time.Second), "update")
		e := wantVerdict(t, err, ErrPoolTimeout, VerdictRejected)
		if d := e.Stats.LastDialError; d == nil || !d.Permanent || !strings.Contains(e.Diagnosis.Sentence, d.Remedy) || !strings.Contains(e.Diagnosis.Sentence, "this pool has 1 of 2") {
			t.Error(err)
		}
	})
}

func TestErrorExplainsNesting(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		err := p.WithSession(ContextWithName(t.Context(), "POST /orders"), func(ctx context.Context, s *Session) error {
			if err := insert(ctx, s); err != nil {
				return err
			}
			time.Sleep(time.Second)
			_, err := p.ExecContext(within(t, 2*time.Second), "in another context: not recognised")
			wantVerdict(t, err, ErrPoolTimeout, VerdictLeak)
			_, err = p.ExecContext(ctx, "update")
			return err
		})
		wantVerdict(t, err, ErrPoolTimeout, VerdictNested)
		wantText(t, err, `pool "orders": no connection within 30s (size 1, overflow 0, in use 1, idle 0, dialing 0, closing 0, waiting 0`+
			`; oldest held 33s by pool/session_test.go:N (POST /orders), idle in transaction`+
			`; this caller (pool/explain_test.go:N) already holds one: 33s by pool/session_test.go:N (POST /orders), idle in transaction)`+
			`; verdict: nested acquisition; the caller at pool/explain_test.go:N waits for itself: it already holds a connection, 33s by pool/session_test.go:N (POST /orders), idle in transaction: pass on the session that holds the first connection instead of asking for another`)
	})
}

func TestErrorExplainsNestingRefused(t *testing.T) {
	inWire(t, refusingNested(orders(2, 0)), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
			if err := insert(ctx, s); err != nil {
				return err
			}
			return p.QueryRowContext(ctx, "select").Scan(new(string))
		})
		wantVerdict(t, err, ErrNested, VerdictNested)
		wantText(t, err, `pool "orders": nested acquisition refused (size 2, overflow 0, in use 1, idle 0, dialing 0, closing 0, waiting 0`+
			`; oldest held 0s by pool/session_test.go:N, idle in transaction`+
			`; this caller (pool/explain_test.go:N) already holds one: 0s by pool/session_test.go:N, idle in transaction)`+
			`; verdict: nested acquisition; the caller at pool/explain_test.go:N waits for itself: it already holds a connection, 0s by pool/session_test.go:N, idle in transaction: pass on the session that holds the first connection instead of asking for another`)
	})
}

func TestErrorExplainsOverload(t *testing.T) {
	busy := func(c *config.Config) { orders(1, 0)(c); c.MaxWaiters = 2 }
	inWire(t, busy, func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		work := func() { _, _ = p.ExecContext(t.Context(), "sleep 1s") }
		work()
		for range 2 {
			go work()
			synctest.Wait()
		}
		_, err := p.ExecContext(within(t, 2*time.Second), "update")
		wantVerdict(t, err, ErrOverloaded, VerdictSmall)
		wantText(t, err, `pool "orders": overloaded: no connection early enough for a caller with 2s left, the wait would be about 2s and its work may take 1.5s`+
			` (size 1, overflow 0, in use 1, idle 0, dialing 0, closing 0, waiting 1)`+
			`; ask again in 2s; verdict: pool too small; 1 of 1 are in use and come back after about 1s, but more is asked of them (1 wait): raise DB_POOL_SIZE or DB_MAX_OVERFLOW if the server has room, or reduce load`)
		go work()
		synctest.Wait()
		err = p.QueryRowContext(t.Context(), "select").Scan(new(string))
		wantText(t, err, `pool "orders": overloaded: as many callers wait as DB_MAX_WAITERS allows, the wait would be about 3s`+
			` (size 1, overflow 0, in use 1, idle 0, dialing 0, closing 0, waiting 2)`+
			`; ask again in 3s; verdict: pool too small; 1 of 1 are in use and come back after about 1s, but more is asked of them (1 wait): raise DB_POOL_SIZE or DB_MAX_OVERFLOW if the server has room, or reduce load`)
		time.Sleep(time.Minute)
	})
}

// Background work waits although a connection is idle: the error says why.
func TestErrorExplainsTheBoundOfBackgroundWork(t *testing.T) {
	inWire(t, orders(4, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		openAll(t, p, 4)
		work := func(ctx context.Context, d string) error {
			_, err := p.ExecContext(ContextWithLane(ctx, LaneBackground), "sleep "+d)
			return err
		}
		for range 2 {
			go func() { _ = work(t.Context(), "1m") }()
		}
		synctest.Wait()
		err := work(within(t, time.Second), "1s")
		wantVerdict(t, err, ErrPoolTimeout, VerdictBackground)
		wantText(t, err, `pool "orders": no connection within 1s for background work, which has 2 of the 2 that it may have`+
			` (size 4, overflow 0, in use 2, idle 2, dialing 0, closing 0, waiting 0; oldest held 1s by pool/explain_test.go:N, running`+
			`, then 1s by pool/explain_test.go:N, running); verdict: background work; background work has 2 of the 2 connections that it may have, the longest held 1s by pool/explain_test.go:N, running: run fewer tasks at once, or make them shorter; at once: select pg_cancel_backend(P)`)
		time.Sleep(time.Minute)
	})
}

// A failed dial is told of, but not blamed when others have succeeded since.
func TestErrorTellsOfAnOldDialError(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.refuseAll("53300", "sorry, too many clients already")
		_ = p.PingContext(within(t, time.Second))
		s.refuseAll("", "")
		time.Sleep(gate.IdleProbe + maxPeriod)
		held := holdAll(t, p, 1)[0]
		defer held.Close()
		err := p.PingContext(within(t, time.Second))
		wantVerdict(t, err, ErrPoolTimeout, VerdictLeak)
		if !strings.Contains(err.Error(), " ago, before others succeeded: sorry, too many clients already (SQLSTATE 53300)") {
			t.Error(err)
		}
	})
}

func TestErrorOfAWrongPasswordNamesThePool(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.refuseAll("28P01", `password authentication failed for user "user"`)
		started := time.Now()
		err := p.QueryRowContext(t.Context(), "select").Scan(new(string))
		var e *DialError
		if !errors.As(err, &e) || e.Reason != "authentication" || time.Since(started) != 0 {
			t.Errorf("%v after %s", err, time.Since(started))
		}
		wantText(t, err, `pool "orders": dial: password authentication failed for user "user" (SQLSTATE 28P01)`+
			`; check the user and password in DATABASE_URL, and pg_hba.conf`)
	})
}

// Every method reports the same, whatever it returns.
func TestEveryMethodReportsTheWait(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		held, err := p.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		calls := map[string]func(ctx context.Context) error{
			"ExecContext":     func(ctx context.Context) error { _, err := p.ExecContext(ctx, "update"); return err },
			"QueryContext":    func(ctx context.Context) error { _, err := p.QueryContext(ctx, "select"); return err },
			"QueryRowContext": func(ctx context.Context) error { return p.QueryRowContext(ctx, "select").Scan(new(string)) },
			"QueryRow.Err":    func(ctx context.Context) error { return p.QueryRowContext(ctx, "select").Err() },
			"PrepareContext":  func(ctx context.Context) error { _, err := p.PrepareContext(ctx, "select"); return err },
			"BeginTx":         func(ctx context.Context) error { _, err := p.BeginTx(ctx, nil); return err },
			"Conn":            func(ctx context.Context) error { _, err := p.Conn(ctx); return err },
			"PingContext":     p.PingContext,
			"DB.QueryContext": func(ctx context.Context) error { _, err := p.DB().QueryContext(ctx, "select"); return err },
			"DB.BeginTx":      func(ctx context.Context) error { _, err := p.DB().BeginTx(ctx, nil); return err },
			"Session":         func(ctx context.Context) error { return p.WithSession(ctx, insert) },
		}
		for name, call := range calls {
			started := time.Now()
			err := call(within(t, time.Second))
			var e *AcquireError
			if !errors.Is(err, ErrPoolTimeout) || !errors.As(err, &e) || time.Since(started) != time.Second || e.Waited != time.Second {
				t.Errorf("%s: %v after %s", name, err, time.Since(started))
			}
		}
	})
}
