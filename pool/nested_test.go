package pool

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

func nestedRefused(c *config.Config) { c.Nested = config.NestedRefuse }

// inPool runs test in virtual time on a pool of size connections over d.
func inPool(t *testing.T, size int, d *hookDriver, test func(t *testing.T, p *Pool, log *logLines), edits ...func(*config.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p, log := timedPool(t, size, d, edits...)
		test(t, p, log)
		synctest.Wait()
		if s := p.Stats(); s.InUse+s.Waiting != 0 {
			t.Errorf("left behind: %d in use, %d waiting; %v", s.InUse, s.Waiting, p.Holders(0))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestNestedIsRecognised(t *testing.T) {
	query := func(ctx context.Context, p *Pool) error { _, err := p.ExecContext(ctx, "second"); return err }
	conn := func(ctx context.Context, p *Pool) error {
		c, err := p.Conn(ctx)
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	viaDB := func(ctx context.Context, p *Pool) error { _, err := p.DB().ExecContext(ctx, "second"); return err }
	session := func(ctx context.Context, p *Pool) error { return p.WithSession(ctx, insert) }
	places := map[string]func(ctx context.Context, p *Pool, inside func(ctx context.Context) error) error{
		"session": func(ctx context.Context, p *Pool, inside func(context.Context) error) error {
			return p.WithSession(ctx, func(ctx context.Context, s *Session) error {
				return errors.Join(insert(ctx, s), inside(ctx))
			})
		},
		"task": func(ctx context.Context, p *Pool, inside func(context.Context) error) error {
			return p.Background(ctx, "task", func(ctx context.Context, s *Session) error {
				return errors.Join(insert(ctx, s), inside(ctx))
			}).Wait(ctx)
		},
		"request": func(ctx context.Context, p *Pool, inside func(context.Context) error) (err error) {
			h := p.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				err = errors.Join(insert(r.Context(), FromContext(r.Context())), inside(r.Context()))
			}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/orders", nil))
			return err
		},
		"rows left open in a session's context": func(ctx context.Context, p *Pool, inside func(context.Context) error) error {
			return p.WithSession(ctx, func(ctx context.Context, _ *Session) error {
				rows, err := p.QueryContext(ctx, "first")
				if err != nil {
					return err
				}
				defer rows.Close()
				return inside(ctx)
			})
		},
	}
	seconds := map[string]func(ctx context.Context, p *Pool) error{"query": query, "conn": conn, "db": viaDB, "session": session}
	for place, first := range places {
		for kind, second := range seconds {
			t.Run(place+"/"+kind, func(t *testing.T) {
				inPool(t, 1, &hookDriver{}, func(t *testing.T, p *Pool, _ *logLines) {
					err := first(t.Context(), p, func(ctx context.Context) error { return second(ctx, p) })
					wantNested(t, err, ErrPoolTimeout)
					if s := p.Stats(); s.NestedCount != 1 {
						t.Errorf("counted %d", s.NestedCount)
					}
				})
				inPool(t, 2, &hookDriver{}, func(t *testing.T, p *Pool, _ *logLines) {
					err := first(t.Context(), p, func(ctx context.Context) error { return second(ctx, p) })
					wantNested(t, err, ErrNested)
					if s := p.Stats(); s.NestedCount != 1 || s.TimeoutCount != 0 {
						t.Errorf("counted %d", s.NestedCount)
					}
				}, nestedRefused)
			})
		}
	}
}

// wantNested wants an error that names both places, in this file.
func wantNested(t *testing.T, err, kind error) {
	t.Helper()
	var e *AcquireError
	if !errors.Is(err, kind) || !errors.As(err, &e) {
		t.Fatalf("%v, want %v", err, kind)
	}
	if e.Verdict != VerdictNested || e.Outer == nil {
		t.Fatalf("verdict %q, outer %v", e.Verdict, e.Outer)
	}
	for _, place := range []string{e.Caller, e.Outer.Caller} {
		if !strings.HasPrefix(place, "pool/") || !strings.Contains(err.Error(), place) {
			t.Errorf("place %q in %v", place, err)
		}
	}
}

func TestNotNested(t *testing.T) {
	inPool(t, 2, &hookDriver{}, func(t *testing.T, p *Pool, _ *logLines) {
		err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
			if _, err := p.ExecContext(ctx, "before it holds anything"); err != nil {
				return err
			}
			for range 2 {
				if err := insert(ctx, s); err != nil {
					return err
				}
			}
			if _, err := p.ExecContext(t.Context(), "in another context"); err != nil {
				return err
			}
			// The task does not run inside this work: nobody waits for it.
			task := p.Background(ctx, "later", insert)
			synctest.Wait()
			if err := task.Wait(t.Context()); err != nil {
				return err
			}
			if err := s.Commit(); err != nil {
				return err
			}
			_, err := p.ExecContext(ctx, "after it was given back")
			return err
		})
		if s := p.Stats(); err != nil || s.NestedCount != 0 {
			t.Errorf("%v, %d nested", err, s.NestedCount)
		}
	}, nestedRefused)
}

func TestNestedInAnotherPoolIsNone(t *testing.T) {
	inPool(t, 1, &hookDriver{}, func(t *testing.T, p *Pool, _ *logLines) {
		other, _ := timedPool(t, 1, &hookDriver{}, nestedRefused)
		err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
			return errors.Join(insert(ctx, s), other.WithSession(ctx, func(ctx context.Context, s *Session) error {
				if err := insert(ctx, s); err != nil {
					return err
				}
				time.Sleep(time.Second)
				_, err := p.ExecContext(ctx, "nested across the other pool")
				return err
			}))
		})
		wantNested(t, err, ErrNested)
		if err := other.Close(); err != nil || other.Stats().NestedCount != 0 {
			t.Error(err, other.Stats().NestedCount)
		}
	}, nestedRefused)
}
