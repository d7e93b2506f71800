package pool

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// leaveOpen leaves every kind of result open that a session can hand out.
var leaveOpen = map[string]func(ctx context.Context, s *Session) error{
	"rows": func(ctx context.Context, s *Session) error {
		rows, err := s.QueryContext(ctx, "select")
		rows.Next()
		return err
	},
	"rows under a context of their own": func(_ context.Context, s *Session) error {
		rows, err := s.QueryContext(context.Background(), "select")
		rows.Next()
		return err
	},
	"bytes of the driver": func(_ context.Context, s *Session) error {
		rows, err := s.QueryContext(context.Background(), "select")
		var raw sql.RawBytes
		rows.Next()
		return errors.Join(err, rows.Scan(&raw))
	},
	"rows never looked at": func(ctx context.Context, s *Session) error {
		return s.QueryRowContext(context.Background(), "select").Err()
	},
	"rows of a prepared statement": func(ctx context.Context, s *Session) error {
		stmt, err := s.PrepareContext(ctx, "select")
		if err != nil {
			return err
		}
		rows, err := stmt.QueryContext(ctx)
		rows.Next()
		return err
	},
}

func TestSessionClosesWhatWasLeftOpen(t *testing.T) {
	ways := map[string]func(cancel func()) error{
		"commit":   func(func()) error { return nil },
		"rollback": func(func()) error { return errBoom },
		"cancel":   func(cancel func()) error { cancel(); return errBoom },
	}
	for mode, opts := range map[string][]SessionOption{"tx": nil, "autocommit": {WithAutocommit()}} {
		for kind, leave := range leaveOpen {
			for way, result := range ways {
				t.Run(mode+"/"+kind+"/"+way, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { // fails as a deadlock when the end waits for the rows
						p, _ := hookPool(t, &hookDriver{})
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						err := p.WithSession(ctx, func(ctx context.Context, s *Session) error {
							return errors.Join(leave(ctx, s), result(cancel))
						}, opts...)
						if err != nil && !errors.Is(err, errBoom) {
							t.Error(err)
						}
						if p.Stats().InUse != 0 {
							t.Error("the connection was not given back")
						}
					})
				})
			}
		}
	}
}

// The end of the context waits for rows that only their reader may close.
func TestSessionClosesRowsThatTheEndOfItsContextWaitsFor(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithCancel(context.Background())
		done <- p.WithSession(ctx, func(ctx context.Context, s *Session) error {
			err := leaveOpen["bytes of the driver"](ctx, s)
			cancel()
			for over := false; !over; runtime.Gosched() {
				s.mu.Lock()
				over = s.over != nil
				s.mu.Unlock()
			}
			return err
		}, WithAutocommit())
	}()
	if err := receive(t, done); err != nil || p.Stats().InUse != 0 {
		t.Errorf("%v, in use %d", err, p.Stats().InUse)
	}
}

// Rows are closed by their reader's goroutine, or by database/sql under its
// locks: bytes being read must not be pulled away. The race detector judges.
func TestEndOfContextLeavesBytesBeingReadAlone(t *testing.T) {
	for _, opts := range [][]SessionOption{nil, {WithAutocommit()}} {
		for range 20 {
			p, _ := hookPool(t, &hookDriver{})
			ctx, cancel := context.WithCancel(t.Context())
			err := p.WithSession(ctx, func(ctx context.Context, s *Session) error {
				rows, err := s.QueryContext(ctx, "select")
				if err != nil {
					return err
				}
				go cancel()
				var raw sql.RawBytes
				for rows.Next() {
					if err := rows.Scan(&raw); err == nil && string(raw) != "1" {
						t.Errorf("read %q", raw)
					}
				}
				return rows.Err()
			}, opts...)
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	}
}

func TestSessionForgetsClosedRows(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		for range 100 {
			rows, err := s.QueryContext(ctx, "select")
			if err != nil {
				return err
			}
			rows.Next()
			if len(s.openRows()) != 1 {
				t.Error("open rows are not seen as open")
			}
			if err := rows.Close(); err != nil {
				return err
			}
		}
		if n := len(s.rows); n > 1 {
			t.Errorf("%d rows kept after they were closed", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAutocommitHoldsOneConnectionWithoutTransaction(t *testing.T) {
	d := &hookDriver{begin: func(context.Context) error { return errors.New("began a transaction") }}
	p, _ := hookPool(t, d)
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		if p.Stats().InUse != 0 {
			t.Error("took a connection before the first statement")
		}
		for range 3 {
			if err := insert(ctx, s); err != nil {
				return err
			}
			if p.Stats().InUse != 1 {
				t.Error("the connection is not held between statements")
			}
		}
		return nil
	}, WithAutocommit())
	if err != nil {
		t.Error(err)
	}
}

// What an autocommit session has done stays done, so the end of its context is
// not an error of work that succeeded.
func TestAutocommitGivesBackAtOnceWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := hookPool(t, &hookDriver{})
		ctx, cancel := context.WithCancel(t.Context())
		err := p.WithSession(ctx, func(ctx context.Context, s *Session) error {
			err := insert(ctx, s)
			cancel()
			synctest.Wait()
			if p.Stats().InUse != 0 {
				t.Error("the connection is still held")
			}
			return err
		}, WithAutocommit())
		if err != nil {
			t.Error(err)
		}
	})
}

func TestAutocommitScansRows(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		var n int
		for range 3 {
			if err := s.QueryRowContext(ctx, "select").Scan(&n); err != nil {
				return err
			}
		}
		return nil
	}, WithAutocommit())
	if err != nil {
		t.Error(err)
	}
}

func TestRowOf(t *testing.T) {
	for range 3 {
		if err := rowOf(errBoom).Scan(); err != errBoom {
			t.Errorf("Scan returned %v", err)
		}
	}
	var timeout time.Duration
	if err := rowOf(context.DeadlineExceeded).Scan(&timeout); err != context.DeadlineExceeded {
		t.Errorf("Scan returned %v", err)
	}
}
