package pool

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// bytesOf scans the first row's bytes, which stay the driver's until the next
// call: database/sql keeps a lock of the rows until then.
func bytesOf(t *testing.T, rows *sql.Rows, err error) *sql.Rows {
	t.Helper()
	var raw sql.RawBytes
	if rows, err = firstOf(rows, err); err != nil {
		t.Fatal(err)
	}
	if err := rows.Scan(&raw); err != nil {
		t.Fatal(err)
	}
	return rows
}

// A handler holds bytes of a row while its client goes away, then writes.
func TestMiddlewareReturnsWhileBytesAreHeld(t *testing.T) {
	for mode, opts := range map[string][]SessionOption{"tx": nil, "read-only": {WithReadOnly()}, "autocommit": {WithAutocommit()}} {
		for kind, prepared := range map[string]bool{"query": false, "prepared": true} {
			t.Run(mode+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, _ := hookPool(t, &hookDriver{})
					ctx, leave := context.WithCancel(t.Context())
					defer leave()
					rec := httptest.NewRecorder()
					p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						s := FromContext(r.Context())
						query := s.QueryContext
						if prepared {
							stmt, err := s.PrepareContext(r.Context(), "select")
							if err != nil {
								t.Fatal(err)
							}
							query = func(ctx context.Context, _ string, _ ...any) (*sql.Rows, error) { return stmt.QueryContext(ctx) }
						}
						rows, err := query(r.Context(), "select")
						defer bytesOf(t, rows, err).Close()
						leave()
						_, _ = w.Write([]byte("x")) // the end of the context may come before or after this
					}), opts...).ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
					if mode == "tx" && rec.Code < 500 {
						t.Errorf("status %d for work that was rolled back", rec.Code)
					}
					if n := p.Stats().InUse; n != 0 {
						t.Errorf("%d in use", n)
					}
				})
			})
		}
	}
}

// An ORM asks Rows.Err before it closes rows whose context has ended meanwhile.
func TestRowsCanBeAskedAfterTheEndOfTheirContext(t *testing.T) {
	for _, own := range []bool{false, true} { // the statement's, or the session's
		for range 50 { // database/sql alone gets it wrong now and then
			p, _ := hookPool(t, &hookDriver{})
			done := make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				done <- p.WithSession(ctx, func(ctx context.Context, s *Session) error {
					cancelQuery := cancel
					if own {
						ctx, cancelQuery = context.WithCancel(ctx)
					}
					rows, err := s.QueryContext(ctx, "select")
					defer bytesOf(t, rows, err).Close()
					cancelQuery()
					_ = rows.Err()
					for rows.Next() && ctx.Err() == nil {
					}
					return rows.Err()
				})
			}()
			if err := receive(t, done); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			cancel()
		}
	}
}

// waitingScanner waits until it is let go.
type waitingScanner struct{ scanning, letGo chan struct{} }

func newWaitingScanner() waitingScanner {
	return waitingScanner{make(chan struct{}), make(chan struct{})}
}

// Scan is called once.
func (s waitingScanner) Scan(any) error { close(s.scanning); <-s.letGo; return nil }

// A Scan that does not return, because of a panic or otherwise, keeps its session
// no longer than scanGrace. database/sql waits for it under a lock, in which no
// virtual time passes: so the driver says when.
func TestRowScanThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		p, log := timedPool(t, 1, &hookDriver{rollback: func(context.Context) error { ended <- time.Now(); return nil }})
		scanner, done, started := newWaitingScanner(), make(chan error), time.Now()
		go func() {
			done <- p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
				for range 2 { // these are not late
					var text string
					if err := s.QueryRowContext(ctx, "select").Scan(&text); err != nil {
						return err
					}
					time.Sleep(2 * scanGrace)
				}
				return s.QueryRowContext(ctx, "select").Scan(scanner)
			})
		}()
		if took := (<-ended).Sub(started); took != 5*scanGrace {
			t.Errorf("after %s", took)
		}
		close(scanner.letGo)
		if err := <-done; err == nil {
			t.Error("work was reported done that was rolled back")
		}
		if n := p.Stats().InUse; n != 0 || len(log.with(t, "session ended")) != 1 {
			t.Errorf("%d in use", n)
		}
		_ = p.Close()
	})
}

// A statement of another goroutine does not keep a session that has ended.
func TestSessionEndsWhileAStatementRuns(t *testing.T) {
	inDriver := errors.New("the driver returned")
	for name, tt := range map[string]struct {
		heeds bool // the driver returns when its context ends
		after time.Duration
		done  bool // the statement returned before the session
	}{
		"one that heeds its context": {true, 0, true},
		"one that does not":          {false, endGrace + pgdriver.CancelBound, false},
	} {
		for way, result := range map[string]error{"error": errBoom, "end of the context": nil} {
			if result == nil && !tt.heeds {
				continue // database/sql then waits under a lock, in which no virtual time passes
			}
			t.Run(name+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					release, returned := make(chan struct{}), make(chan error, 1)
					p, _ := timedPool(t, 1, &hookDriver{exec: func(ctx context.Context) error {
						if tt.heeds {
							<-ctx.Done()
							return ctx.Err()
						}
						<-release
						return inDriver
					}})
					defer p.Close()
					ctx, cancel := context.WithCancel(t.Context())
					started := time.Now()
					err := p.WithSession(ctx, func(ctx context.Context, s *Session) error {
						if err := firstError(s.QueryContext(ctx, "select")); err != nil {
							return err
						}
						go func() { returned <- insert(context.WithoutCancel(ctx), s) }()
						synctest.Wait()
						if result == nil || tt.heeds {
							cancel()
							synctest.Wait()
						}
						return result
					})
					cancel()
					if took := time.Since(started); err == nil || took != tt.after {
						t.Errorf("%v after %s", err, took)
					}
					if !tt.done && !errors.Is(err, errStuck) {
						t.Error(err)
					}
					close(release)
					<-returned
					synctest.Wait()
					if n := p.Stats().InUse; n != 0 {
						t.Errorf("%d in use", n)
					}
				})
			})
		}
	}
}

func firstError(rows *sql.Rows, err error) error {
	if err == nil {
		err = rows.Close()
	}
	return err
}

// A panic of a Scanner reaches the caller at once, and the connection is back.
func TestPanicInAScanner(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	defer p.Close()
	for mode, opts := range map[string][]SessionOption{"tx": nil, "autocommit": {WithAutocommit()}} {
		var rows *sql.Rows
		work := func(ctx context.Context, s *Session) (err error) {
			if rows, err = firstOf(s.QueryContext(ctx, "select generate_series(1, 1000000)")); err != nil {
				return err
			}
			return rows.Scan(brittleScanner{})
		}
		started := time.Now()
		if v := recovered(func() { _ = p.WithSession(t.Context(), work, opts...) }); v != "scanner" {
			t.Errorf("%s: WithSession: %v", mode, v)
		}
		closeLeft(rows, "a scanner that panicked")
		v := recovered(func() {
			serve(t, p.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_ = work(r.Context(), FromContext(r.Context()))
			}), opts...), "GET", "/")
		})
		if v != "scanner" {
			t.Errorf("%s: Middleware: %v", mode, v)
		}
		closeLeft(rows, "a scanner that panicked")
		if took := time.Since(started); took > endGrace {
			t.Errorf("%s: took %s", mode, took)
		}
	}
	// A cancellation that the server did not confirm in time costs the connection.
	if s := p.Stats(); s.InUse != 0 || s.OpenedCount != 1+s.Closed.Canceled {
		t.Errorf("%d in use, %d opened, closed %+v", s.InUse, s.OpenedCount, s.Closed)
	}
}

// The end of a statement's own context frees the session's connection for the
// next statement, although its rows were never closed.
func TestRowsEndWithTheirContext(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	defer p.Close()
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		short, cancel := context.WithCancel(ctx)
		defer cancel()
		rows, err := firstOf(s.QueryContext(short, "select generate_series(1, 1000000)"))
		if err != nil {
			return err
		}
		cancel()
		for s.isReading() {
			time.Sleep(time.Millisecond)
		}
		if rows.Next() || !errors.Is(rows.Err(), context.Canceled) {
			t.Errorf("rows go on after their context: %v", rows.Err())
		}
		return s.QueryRowContext(ctx, "select 1").Err()
	}, WithAutocommit())
	if err != nil {
		t.Error(err)
	}
}
