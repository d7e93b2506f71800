package pool

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestRetryAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		wait time.Duration
		ok   bool
	}{
		"full":       {fmt.Errorf("x: %w", &AcquireError{Kind: ErrPoolTimeout}), time.Second, true},
		"overloaded": {&AcquireError{Kind: ErrOverloaded, PredictedWait: 3400 * time.Millisecond}, 3 * time.Second, true},
		"server":     {ErrServerFull, time.Second, true},
		"conflict":   {&pgconn.PgError{Code: "40001"}, time.Second, true},
		"constraint": {&pgconn.PgError{Code: "23503"}, 0, false},
		"closed":     {ErrClosed, 0, false},
		"cancelled":  {context.Canceled, 0, false},
		"nil":        {nil, 0, false},
	} {
		if wait, ok := RetryAfter(tt.err); wait != tt.wait || ok != tt.ok {
			t.Errorf("%s: %s %v, want %s %v", name, wait, ok, tt.wait, tt.ok)
		}
	}
}

// A handler's own error does not hide from an adapter that there was no connection.
func TestUnserved(t *testing.T) {
	if err := (*Session)(nil).Unserved(); err != nil {
		t.Error(err)
	}
	p, _ := hookPool(t, &hookDriver{begin: func(context.Context) error { return errBoom }})
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		if s.Unserved() != nil {
			t.Error("nothing was asked yet")
		}
		if err := insert(ctx, s); err == nil || s.Unserved() != err {
			t.Errorf("%v, want %v", s.Unserved(), err)
		}
		return errors.New("own")
	})
	if err == nil || err.Error() != "own" {
		t.Error(err)
	}
}
