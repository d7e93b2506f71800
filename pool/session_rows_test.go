package pool

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// leaveOpen leaves every kind of result open that a session can hand out.
var leaveOpen = map[string]func(ctx context.Context, s *Session) (*sql.Rows, error){
	"rows": func(ctx context.Context, s *Session) (*sql.Rows, error) {
		return firstOf(s.QueryContext(ctx, "select"))
	},
	"rows under a context of their own": func(_ context.Context, s *Session) (*sql.Rows, error) {
		return firstOf(s.QueryContext(context.Background(), "select"))
	},
	"bytes of the driver": func(_ context.Context, s *Session) (*sql.Rows, error) {
		rows, err := firstOf(s.QueryContext(context.Background(), "select"))
		var raw sql.RawBytes
		return rows, errors.Join(err, rows.Scan(&raw))
	},
	"a scanner that panicked": func(ctx context.Context, s *Session) (*sql.Rows, error) {
		rows, err := firstOf(s.QueryContext(ctx, "select"))
		if v := recovered(func() { _ = rows.Scan(brittleScanner{}) }); v != "scanner" {
			err = errors.Join(err, errors.New("the panic did not arrive"))
		}
		return rows, err
	},
	"rows never looked at": func(ctx context.Context, s *Session) (*sql.Rows, error) {
		return nil, s.QueryRowContext(context.Background(), "select").Err()
	},
	"rows of a prepared statement": func(ctx context.Context, s *Session) (*sql.Rows, error) {
		stmt, err := s.PrepareContext(ctx, "select")
		if err != nil {
			return nil, err
		}
		return firstOf(stmt.QueryContext(ctx))
	},
	"rows of a prepared statement under a context of their own": func(ctx context.Context, s *Session) (*sql.Rows, error) {
		stmt, err := s.PrepareContext(ctx, "select")
		if err != nil {
			return nil, err
		}
		return firstOf(stmt.QueryContext(context.Background()))
	},
}

func firstOf(rows *sql.Rows, err error) (*sql.Rows, error) {
	if err == nil {
		rows.Next()
	}
	return rows, err
}

type brittleScanner struct{}

func (brittleScanner) Scan(any) error { panic("scanner") }

// closeLeft does what the caller of left rows owes database/sql, whose own
// goroutines wait for it. After a Scan that panicked nobody can: so the lock
// that Scan left behind is unlocked here.
func closeLeft(rows *sql.Rows, kind string) {
	if rows == nil {
		return
	}
	if kind == "a scanner that panicked" {
		lock := reflect.ValueOf(rows).Elem().FieldByName("closemu").Addr().UnsafePointer()
		(*sync.RWMutex)(lock).RUnlock()
	}
	_ = rows.Close()
}

// Every way to end a session ends it at once, whatever was left open, and
// without a wait for a lock of database/sql that only the caller can unlock.
func TestSessionClosesWhatWasLeftOpen(t *testing.T) {
	ways := map[string]func(cancel func()) error{
		"commit":   func(func()) error { return nil },
		"rollback": func(func()) error { return errBoom },
		"cancel":   func(cancel func()) error { cancel(); return errBoom },
		"panic":    func(func()) error { panic(errBoom) },
	}
	for mode, opts := range map[string][]SessionOption{"tx": nil, "autocommit": {WithAutocommit()}} {
		for kind, leave := range leaveOpen {
			for way, result := range ways {
				t.Run(mode+"/"+kind+"/"+way, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { // fails as a deadlock when the end waits for the rows
						p, _ := hookPool(t, &hookDriver{})
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						var rows *sql.Rows
						var err error
						v := recovered(func() {
							err = p.WithSession(ctx, func(ctx context.Context, s *Session) error {
								var err error
								rows, err = leave(ctx, s)
								return errors.Join(err, result(cancel))
							}, opts...)
						})
						if err != nil && !errors.Is(err, errBoom) || way == "panic" && v != errBoom {
							t.Error(err, v)
						}
						if p.Stats().InUse != 0 {
							t.Error("the connection was not given back")
						}
						if rows != nil && kind != "a scanner that panicked" && rows.Next() {
							t.Error("rows can be read after the session's end")
						}
						closeLeft(rows, kind)
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
	var rows *sql.Rows
	go func() {
		ctx, cancel := context.WithCancel(context.Background())
		done <- p.WithSession(ctx, func(ctx context.Context, s *Session) (err error) {
			rows, err = leaveOpen["bytes of the driver"](ctx, s)
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
	closeLeft(rows, "")
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
			if !s.isReading() {
				t.Error("open rows are not seen as open")
			}
			if err := rows.Close(); err != nil {
				return err
			}
		}
		if n := len(s.unit.conn.rows); n != 0 || s.isReading() {
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
