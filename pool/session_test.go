package pool

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/DATA-DOG/go-sqlmock"
)

var errBoom = errors.New("boom")

func insert(ctx context.Context, s *Session) error {
	_, err := s.ExecContext(ctx, "insert")
	return err
}

func TestSessionTakesNothingWithoutAStatement(t *testing.T) {
	p, _ := mockPool(t)
	err := p.WithSession(t.Context(), func(context.Context, *Session) error { return nil })
	if err != nil {
		t.Error(err)
	}
	err = p.WithSession(t.Context(), func(context.Context, *Session) error { return errBoom })
	if err != errBoom {
		t.Error(err)
	}
}

func TestSessionCommits(t *testing.T) {
	p, _, mock, _ := mockPoolLog(t)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectQuery("select").WillReturnRows(sqlmock.NewRows([]string{"n"}).AddRow(1))
	mock.ExpectPrepare("update").ExpectExec().WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectCommit()
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		if p.Stats().InUse != 0 {
			t.Error("took a connection before the first statement")
		}
		if err := insert(ctx, s); err != nil {
			return err
		}
		var n int
		if err := s.QueryRowContext(ctx, "select").Scan(&n); err != nil {
			return err
		}
		stmt, err := s.PrepareContext(ctx, "update")
		if err != nil {
			return err
		}
		_, err = stmt.ExecContext(ctx)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSessionRollsBackOnError(t *testing.T) {
	p, mock := mockPool(t)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectRollback()
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		return errors.Join(insert(ctx, s), errBoom)
	})
	if !errors.Is(err, errBoom) {
		t.Error(err)
	}
}

func TestSessionJoinsTheRollbackError(t *testing.T) {
	p, mock := mockPool(t)
	lostLine := errors.New("line lost")
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectRollback().WillReturnError(lostLine)
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		return errors.Join(insert(ctx, s), errBoom)
	})
	if !errors.Is(err, errBoom) || !errors.Is(err, lostLine) {
		t.Errorf("%v hides one of two errors", err)
	}
}

func TestSessionReturnsTheCommitError(t *testing.T) {
	p, mock := mockPool(t)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectCommit().WillReturnError(errBoom)
	err := p.WithSession(t.Context(), insert)
	if !errors.Is(err, errBoom) || err.Error() != "pool: commit: boom" {
		t.Error(err)
	}
}

func TestSessionRollsBackOnPanic(t *testing.T) {
	p, _, mock, lines := mockPoolLog(t)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectRollback().WillReturnError(errBoom)
	value := &struct{ n int }{1}
	defer func() {
		if v := recover(); v != value {
			t.Errorf("recovered %v, want the original value", v)
		}
		if p.Stats().InUse != 0 {
			t.Error("the connection is still held")
		}
		if len(lines.with(t, "rollback after a panic failed")) != 1 {
			t.Error("the failed rollback was dropped")
		}
	}()
	_ = p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		_ = insert(ctx, s)
		panic(value)
	})
}

func TestSessionRollsBackOnGoexit(t *testing.T) {
	p, mock := mockPool(t)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectRollback()
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
			_ = insert(ctx, s)
			runtime.Goexit()
			return nil
		})
	})
	wg.Wait()
}

func TestSessionRollsBackWhenItsContextHasEnded(t *testing.T) {
	p, mock := mockPool(t)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectRollback()
	ctx, cancel := context.WithCancelCause(t.Context())
	err := p.WithSession(ctx, func(ctx context.Context, s *Session) error {
		err := insert(ctx, s)
		cancel(errBoom)
		return err
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, errBoom) {
		t.Errorf("%v does not say that the work was cancelled, and why", err)
	}
}

func TestSessionEndsForAllStatements(t *testing.T) {
	p, mock := mockPool(t)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectCommit()
	var s *Session
	err := p.WithSession(t.Context(), func(ctx context.Context, inner *Session) error {
		s = inner
		return insert(ctx, s)
	})
	if err != nil {
		t.Error(err)
	}
	wantErrors(t, s, ErrSessionDone)
}

func TestNilSessionSaysSo(t *testing.T) {
	s := FromContext(t.Context())
	wantErrors(t, s, ErrNoSession)
	if s.Commit() != ErrNoSession || s.Rollback() != ErrNoSession {
		t.Error("a nil session commits")
	}
}

// wantErrors runs every kind of statement and expects the same error.
func wantErrors(t *testing.T, s *Session, want error) {
	t.Helper()
	ctx := t.Context()
	_, exec := s.ExecContext(ctx, "x")
	rows, query := s.QueryContext(ctx, "x")
	if rows != nil {
		t.Error("rows", rows.Close())
	}
	row := s.QueryRowContext(ctx, "x").Scan()
	_, prepare := s.PrepareContext(ctx, "x")
	for i, err := range []error{exec, query, row, prepare} {
		if !errors.Is(err, want) {
			t.Errorf("statement %d: %v, want %v", i, err, want)
		}
	}
}

func TestSessionCommitEndsTheWorkEarly(t *testing.T) {
	p, mock := mockPool(t)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectCommit()
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		if err := errors.Join(insert(ctx, s), s.Commit(), s.Commit()); err != nil {
			t.Error(err)
		}
		if err := insert(ctx, s); !errors.Is(err, ErrSessionDone) {
			t.Errorf("a statement after the commit: %v", err)
		}
		return errBoom
	})
	if err != errBoom {
		t.Error(err)
	}
}

func TestSessionCommitErrorCannotBeIgnored(t *testing.T) {
	p, mock := mockPool(t)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectCommit().WillReturnError(errBoom)
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		_ = insert(ctx, s)
		_ = s.Commit()
		return nil
	})
	if !errors.Is(err, errBoom) {
		t.Errorf("reported done: %v", err)
	}
}

func TestSessionRollbackIsNoError(t *testing.T) {
	p, mock := mockPool(t)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectRollback()
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		return errors.Join(insert(ctx, s), s.Rollback())
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSessionTriesAgainAfterAFailedBegin(t *testing.T) {
	p, mock := mockPool(t)
	mock.ExpectBegin().WillReturnError(errBoom)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectCommit()
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		if err := s.QueryRowContext(ctx, "insert").Scan(); err != errBoom {
			t.Errorf("Scan returned %v, want the acquisition's error as it was", err)
		}
		if s.Unserved() != errBoom {
			t.Error("the failure was not remembered")
		}
		return errors.Join(insert(ctx, s), s.Unserved())
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSessionNests(t *testing.T) {
	p, _, mock, _ := mockPoolLog(t)
	other, _ := mockPool(t)
	mock.MatchExpectationsInOrder(false)
	for range 2 {
		mock.ExpectBegin()
		mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
		mock.ExpectCommit()
	}
	err := p.WithSession(t.Context(), func(ctx context.Context, outer *Session) error {
		if FromContext(ctx) != outer || scopeOf(ctx).Of(p.gate).Holding() != nil {
			t.Error("the session is not in its context, or seems to hold a connection")
		}
		if err := insert(ctx, outer); err != nil {
			return err
		}
		return other.WithSession(ctx, func(ctx context.Context, between *Session) error {
			return p.WithSession(ctx, func(ctx context.Context, inner *Session) error {
				if FromContext(ctx) != inner || other.FromContext(ctx) != between {
					t.Error("found the wrong session")
				}
				if scopeOf(ctx).Of(p.gate).Holding() != outer.scope.Holding() || scopeOf(ctx).Of(other.gate).Holding() != nil {
					t.Error("found the wrong holder")
				}
				err := insert(ctx, inner)
				if p.Stats().InUse != 2 || scopeOf(ctx).Of(p.gate).Holding() != inner.scope.Holding() {
					t.Error("the inner session has no connection of its own")
				}
				return err
			})
		})
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSessionOptionsThatExcludeOneAnother(t *testing.T) {
	p, _ := mockPool(t)
	for _, opt := range []SessionOption{WithReadOnly(), WithIsolation(sql.LevelSerializable)} {
		err := p.WithSession(t.Context(), func(context.Context, *Session) error {
			t.Error("the work ran")
			return nil
		}, WithAutocommit(), opt)
		if err == nil {
			t.Error("accepted")
		}
	}
}

func TestSessionContextEndsWithTheWork(t *testing.T) {
	p, _ := mockPool(t)
	var kept context.Context
	_ = p.WithSession(t.Context(), func(ctx context.Context, _ *Session) error {
		kept = ctx
		return nil
	})
	select {
	case <-kept.Done():
	case <-time.After(10 * time.Second):
		t.Error("the context outlives the work")
	}
}
