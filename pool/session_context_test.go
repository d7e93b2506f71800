package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatementContextDoesNotEndTheTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := hookPool(t, &hookDriver{rollback: func(context.Context) error { return errors.New("rolled back") }})
		err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if err := insert(short, s); err != nil {
				return err
			}
			time.Sleep(2 * time.Second)
			return insert(ctx, s)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestStatementContextBoundsTheWaitForAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, db := hookPool(t, &hookDriver{})
		held, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		start := time.Now()
		err = p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
			short, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			return insert(short, s)
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestSessionContextBoundsTheWaitForAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, db := hookPool(t, &hookDriver{})
		held, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err = p.WithSession(ctx, func(_ context.Context, s *Session) error {
			return insert(context.Background(), s)
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestSessionThatHasEndedTakesNoConnection(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{begin: func(context.Context) error { t.Error("began"); return nil }})
	ctx, cancel := context.WithCancel(t.Context())
	err := p.WithSession(ctx, func(_ context.Context, s *Session) error {
		cancel()
		return insert(context.Background(), s)
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The connection of cancelled work goes back at once, even if the work goes on,
// and ROLLBACK is sent under a context that has not ended.
func TestEndOfContextRollsBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rolledBack atomic.Int32
		p, _ := hookPool(t, &hookDriver{rollback: func(ctx context.Context) error {
			rolledBack.Add(1)
			return ctx.Err()
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.WithSession(ctx, func(ctx context.Context, s *Session) error {
			if err := insert(ctx, s); err != nil {
				return err
			}
			time.Sleep(time.Minute)
			if rolledBack.Load() != 1 || p.Stats().InUse != 0 || scopeOf(ctx).Of(p.gate).Holding() != nil {
				t.Error("the connection is still held")
			}
			if err := insert(context.Background(), s); !errors.Is(err, ErrSessionDone) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a statement after the end: %v", err)
			}
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "pool: rolled back: context deadline exceeded" {
			t.Error(err)
		}
	})
}

// Work that returns while the end of its context is rolling it back waits for that.
func TestSessionReturnsAfterTheRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := hookPool(t, &hookDriver{rollback: func(context.Context) error {
			time.Sleep(time.Second)
			return errBoom
		}})
		ctx, cancel := context.WithCancel(t.Context())
		err := p.WithSession(ctx, func(ctx context.Context, s *Session) error {
			err := insert(ctx, s)
			cancel()
			synctest.Wait() // the rollback is under way
			return err
		})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, errBoom) || p.Stats().InUse != 0 {
			t.Errorf("%v, in use %d", err, p.Stats().InUse)
		}
	})
}

// A COMMIT under way is not cut off, so its outcome is known.
func TestCommitOutlivesTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := hookPool(t, &hookDriver{commit: func(ctx context.Context) error {
			time.Sleep(2 * time.Second)
			return ctx.Err()
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.WithSession(ctx, insert); err != nil {
			t.Errorf("committed, but reported as %v", err)
		}
	})
}

// A dead network does not hold the caller for ever.
func TestEndIsCutOffAfterTheGrace(t *testing.T) {
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	t.Run("commit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _ := hookPool(t, &hookDriver{commit: hang})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			err := p.WithSession(ctx, insert)
			if !errors.Is(err, errCommit) || time.Since(start) != time.Second+endGrace {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	})
	t.Run("rollback", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _ := hookPool(t, &hookDriver{rollback: hang})
			start := time.Now()
			err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
				return errors.Join(insert(ctx, s), errBoom)
			})
			if !errors.Is(err, errBoom) || !errors.Is(err, context.Canceled) || time.Since(start) != endGrace {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	})
}

func TestFirstStatementsShareOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int32
		p, _ := hookPool(t, &hookDriver{begin: func(context.Context) error {
			begun.Add(1)
			time.Sleep(time.Second)
			return nil
		}})
		err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
			impatient, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if err := insert(ctx, s); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait() // one of them is beginning
			start := time.Now()
			if err := insert(impatient, s); err != context.DeadlineExceeded || time.Since(start) != time.Millisecond {
				t.Errorf("waiting for another's attempt: %v after %v", err, time.Since(start))
			}
			wg.Wait()
			return nil
		})
		if err != nil || begun.Load() != 1 {
			t.Errorf("%v, %d transactions", err, begun.Load())
		}
	})
}

// Work that returns while a goroutine it left behind still asks for a
// connection leaves no connection behind.
func TestSessionEndsWhileItBegins(t *testing.T) {
	second := func(context.Context) error { time.Sleep(time.Second); return nil }
	tests := map[string]struct {
		driver hookDriver
		opts   []SessionOption
	}{
		"waits for its context":     {hookDriver{begin: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}, nil},
		"succeeds all the same":     {hookDriver{begin: second}, nil},
		"connects all the same":     {hookDriver{connect: second}, nil},
		"connects, for autocommit":  {hookDriver{connect: second}, []SessionOption{WithAutocommit()}},
		"rolls back slowly as well": {hookDriver{begin: second, rollback: second}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.driver.exec = func(context.Context) error { t.Error("a statement ran"); return nil }
				p, _ := hookPool(t, &tt.driver)
				var wg sync.WaitGroup
				err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
					wg.Go(func() {
						if err := insert(context.Background(), s); err == nil {
							t.Error("a statement succeeded")
						}
					})
					synctest.Wait()
					return nil
				}, tt.opts...)
				wg.Wait()
				time.Sleep(2 * time.Second) // database/sql may be the one that rolls back
				if err != nil || p.Stats().InUse != 0 {
					t.Errorf("%v, in use %d", err, p.Stats().InUse)
				}
			})
		})
	}
}

// A first statement that gave up, though its connection came, leaves the
// session able to begin.
func TestSessionBeginsAfterAStatementGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := hookPool(t, &hookDriver{begin: func(context.Context) error { time.Sleep(time.Second); return nil }})
		err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			if err := insert(short, s); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			return insert(ctx, s)
		})
		if err != nil || p.Stats().InUse != 0 {
			t.Errorf("%v, in use %d", err, p.Stats().InUse)
		}
	})
}

// A driver that panics takes its caller with it, but not the session's lock.
func TestSessionSurvivesADriverThatPanics(t *testing.T) {
	broken := true
	p, _ := hookPool(t, &hookDriver{begin: func(context.Context) error {
		if broken {
			panic("driver")
		}
		return nil
	}})
	s := p.startSession(t.Context(), sessionOptions{}, nil)
	defer s.abandon()
	func() {
		defer func() { _ = recover() }()
		_ = insert(t.Context(), s)
	}()
	broken = false
	if err := s.Rollback(); err != nil {
		t.Error(err)
	}
}

func TestUnitContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		base := context.WithValue(ContextWithName(t.Context(), "route"), key{}, 1)
		session, end := context.WithTimeout(base, time.Hour)
		defer end()
		statement, cancel := context.WithTimeout(ContextWithName(context.Background(), "step"), time.Minute)
		defer cancel()
		c := newUnitContext(statement, session, nil)
		if nameOf(c) != "step" || c.Value(key{}) != 1 {
			t.Error("values are not the statement's, then the session's")
		}
		for _, c := range []*unitContext{c, newUnitContext(session, statement, nil), newUnitContext(context.Background(), statement, nil), newUnitContext(statement, context.Background(), nil)} {
			if d, ok := c.Deadline(); !ok || time.Until(d) != time.Minute {
				t.Error("the deadline is not the earlier one")
			}
		}
		child, cancelChild := context.WithTimeout(c, 2*time.Minute)
		defer cancelChild()
		time.Sleep(time.Minute)
		synctest.Wait()
		if c.Err() != context.DeadlineExceeded || child.Err() != context.DeadlineExceeded {
			t.Errorf("ended with %v, its child with %v", c.Err(), child.Err())
		}
		if c.begin() {
			t.Error("begins after its end")
		}
	})
}

func TestUnitContextOnceBegun(t *testing.T) {
	statement, cancel := context.WithTimeout(t.Context(), time.Hour)
	c := newUnitContext(statement, t.Context(), nil)
	if !c.begin() {
		t.Fatal("does not begin")
	}
	cancel()
	child, stop := context.WithCancel(c)
	defer stop()
	if _, ok := c.Deadline(); ok || c.Err() != nil || child.Err() != nil {
		t.Error("still bound to the statement's context")
	}
	c.end()
	<-child.Done()
	if c.Err() != context.Canceled {
		t.Error(c.Err())
	}
}
