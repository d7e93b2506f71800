package pool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

var errConflict = &pgconn.PgError{Severity: "ERROR", Code: "40001", Message: "could not serialize access"}

// inRetry runs test in virtual time.
func inRetry(t *testing.T, d *hookDriver, test func(t *testing.T, p *Pool)) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := timedPool(t, 1, d)
		test(t, p)
		if n := p.Stats().InUse; n != 0 {
			t.Errorf("%d in use", n)
		}
		_ = p.Close()
	})
}

func TestRetryRepeatsConflicts(t *testing.T) {
	for name, fails := range map[string]struct{ work, commit error }{
		"serialization failure": {work: errConflict},
		"at the commit":         {commit: errConflict},
		"deadlock":              {work: &pgconn.PgError{Code: "40P01"}},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			fail := func(err error) error {
				if tries < 3 {
					return err
				}
				return nil
			}
			d := &hookDriver{commit: func(context.Context) error { return fail(fails.commit) }}
			inRetry(t, d, func(t *testing.T, p *Pool) {
				err := p.Retry(t.Context(), func(ctx context.Context, s *Session) error {
					tries++
					return errors.Join(insert(ctx, s), fail(fails.work))
				})
				if err != nil || tries != 3 {
					t.Errorf("%v after %d tries", err, tries)
				}
			})
		})
	}
}

// Nothing else is repeated: least of all what may have been committed.
func TestRetryRepeatsNothingElse(t *testing.T) {
	for name, work := range map[string]func(ctx context.Context, s *Session) error{
		"an error of the work": func(context.Context, *Session) error { return errBoom },
		"a constraint":         func(context.Context, *Session) error { return &pgconn.PgError{Code: "23505"} },
		"after a commit of its own": func(ctx context.Context, s *Session) error {
			return errors.Join(insert(ctx, s), s.Commit(), errConflict)
		},
		"after a commit of unknown outcome": func(ctx context.Context, s *Session) error {
			_ = insert(ctx, s)
			s.lost = ErrCommitUnknown
			return errConflict
		},
		"a transaction that ended itself": func(context.Context, *Session) error {
			return errors.Join(errConflict, ErrTransactionEnded)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inRetry(t, &hookDriver{}, func(t *testing.T, p *Pool) {
				tries := 0
				err := p.Retry(t.Context(), func(ctx context.Context, s *Session) error {
					tries++
					err := work(ctx, s)
					if strings.Contains(name, "unknown") { // leave the session without a unit, as a commit does
						_, _ = s.endUnit(s.unit, ending{why: errUndone})
						s.unit = nil
					}
					return err
				})
				if err == nil || tries != 1 {
					t.Errorf("%v after %d tries", err, tries)
				}
			})
		})
	}
}

func TestRetryIsBounded(t *testing.T) {
	conflicting := func(tries *int) func(context.Context, *Session) error {
		return func(context.Context, *Session) error { *tries++; return errConflict }
	}
	t.Run("tries and pauses", func(t *testing.T) {
		inRetry(t, &hookDriver{}, func(t *testing.T, p *Pool) {
			tries, started := 0, time.Now()
			err := p.Retry(t.Context(), conflicting(&tries))
			if !errors.Is(err, errConflict) || !strings.Contains(err.Error(), "gave up after 6 tries") || tries != retryAttempts {
				t.Errorf("%v after %d tries", err, tries)
			}
			if took := time.Since(started); took == 0 || took > (10+20+40+80+160)*time.Millisecond {
				t.Errorf("paused %s", took)
			}
		})
	})
	t.Run("the context", func(t *testing.T) {
		inRetry(t, &hookDriver{}, func(t *testing.T, p *Pool) {
			ctx, cancel := context.WithTimeout(t.Context(), 1)
			defer cancel()
			tries := 0
			if err := p.Retry(ctx, conflicting(&tries)); !errors.Is(err, errConflict) || tries != 1 {
				t.Errorf("%v after %d tries", err, tries)
			}
		})
	})
	t.Run("the pool's budget", func(t *testing.T) {
		inRetry(t, &hookDriver{}, func(t *testing.T, p *Pool) {
			const calls = 1000
			tries := 0
			var err error
			for range calls {
				err = p.Retry(t.Context(), conflicting(&tries))
			}
			if limit := calls + retryBurst + calls/10 + 1; tries > limit || tries < calls+calls/10 {
				t.Errorf("%d tries for %d calls, want at most %d", tries, calls, limit)
			}
			if !strings.Contains(err.Error(), "used up") {
				t.Error(err)
			}
		})
	})
	t.Run("autocommit", func(t *testing.T) {
		inRetry(t, &hookDriver{}, func(t *testing.T, p *Pool) {
			if err := p.Retry(t.Context(), insert, WithAutocommit()); err == nil {
				t.Error("accepted")
			}
		})
	})
}

// On a server: a lost connection before the commit is repeated, a conflict too.
func TestRetryOnAServer(t *testing.T) {
	p := withOrders(t)
	tries := 0
	err := p.Retry(t.Context(), func(ctx context.Context, s *Session) error {
		tries++
		if err := add(ctx, s, tries); err != nil {
			return err
		}
		if tries == 1 {
			_, err := s.ExecContext(ctx, "select pg_terminate_backend(pg_backend_pid())")
			return err
		}
		return nil
	})
	if got := ordersOf(t, p); err != nil || tries != 2 || len(got) != 1 || got[0] != 2 {
		t.Errorf("%v after %d tries: %v", err, tries, got)
	}
	tries = 0
	err = p.Retry(t.Context(), func(ctx context.Context, s *Session) error {
		tries++
		var n int
		if err := s.QueryRowContext(ctx, "select count(*) from orders").Scan(&n); err != nil {
			return err
		}
		if tries == 1 { // somebody does the same in between
			err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
				if err := s.QueryRowContext(ctx, "select count(*) from orders").Scan(&n); err != nil {
					return err
				}
				return add(ctx, s, 100)
			}, WithIsolation(6))
			if err != nil {
				return err
			}
		}
		return add(ctx, s, 200)
	}, WithIsolation(6)) // sql.LevelSerializable
	if err != nil || tries != 2 {
		t.Errorf("%v after %d tries", err, tries)
	}
}
