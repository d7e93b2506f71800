package pool

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestSessionWhoseConnectionWasLost has idle_session_timeout end the connection
// of a session without a transaction: what it does next is told so in words, the
// server's first, is not executed anywhere, and costs the pool nothing.
func TestSessionWhoseConnectionWasLost(t *testing.T) {
	s := newShop(t)
	ways := map[string]func(ctx context.Context, sess *Session) error{
		"exec": run(goodItem),
		"exec with args": func(ctx context.Context, sess *Session) error {
			return onlyError(sess.ExecContext(ctx, "insert into items values ($1)", 1))
		},
		"query": func(ctx context.Context, sess *Session) error {
			rows, err := sess.QueryContext(ctx, goodItem+" returning 1")
			if err == nil {
				err = errors.Join(rows.Close(), rows.Err())
			}
			return err
		},
		"query row": func(ctx context.Context, sess *Session) error {
			return sess.QueryRowContext(ctx, goodItem+" returning 1").Scan(new(int))
		},
		"prepare": func(ctx context.Context, sess *Session) error { return onlyError(sess.PrepareContext(ctx, goodItem)) },
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			_ = s.WithSession(t.Context(), func(ctx context.Context, sess *Session) error {
				if _, err := sess.ExecContext(ctx, "set idle_session_timeout = 50"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(300 * time.Millisecond)
				first, err := way(ctx, sess), way(ctx, sess)
				if first == nil || errors.Is(first, driver.ErrBadConn) {
					t.Errorf("told first %v", first)
				}
				if err == nil || errors.Is(err, driver.ErrBadConn) || !strings.Contains(err.Error(), "the session's connection was lost") {
					t.Errorf("told %v", err)
				}
				return err
			}, WithAutocommit())
			if err := s.WithSession(t.Context(), run("select 1")); err != nil {
				t.Error(err)
			}
		})
	}
	s.wantItems(t, 0)
}

func onlyError[T any](_ T, err error) error { return err }
