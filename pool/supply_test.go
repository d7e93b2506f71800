package pool

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// askWire makes a call in the background and tells when and how it ended.
func askWire(ctx context.Context, p *Pool, query string) *answer {
	a := &answer{asked: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(a.done)
		_, a.err = p.ExecContext(ctx, query) // not a query: its rows would have a goroutine wait for a mutex when ctx ends
		a.after = time.Since(a.asked)
	}()
	return a
}

type answer struct {
	asked time.Time
	after time.Duration
	err   error
	done  chan struct{}
}

// want waits for the answer and wants it at a certain time, but for the pauses
// between two looks into database/sql's free list.
func (a *answer) want(t *testing.T, after time.Duration, err error) {
	t.Helper()
	<-a.done
	if a.after < after || a.after > after+time.Millisecond || !errors.Is(a.err, err) {
		t.Errorf("answered after %s with %v, want %s and %v", a.after, a.err, after, err)
	}
}

// TestGovernor has fifty callers behind a pool whose server is full for a minute.
func TestGovernor(t *testing.T) {
	inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.PoolTimeout = 20, 0, time.Hour }, func(t *testing.T, p *Pool, s *wireServer, log *logLines) {
		s.refuseAll(pgdriver.StateTooManyConnections, "sorry, too many clients already")
		s.with(func(f *wireFaults) { f.connect = 10 * time.Millisecond })
		begun := time.Now()
		var callers []*answer
		for range 50 {
			callers = append(callers, askWire(t.Context(), p, "sleep 10s"))
		}
		time.Sleep(time.Second)
		if n := len(s.dialTimes(begun.Add(-1))); n > gate.MaxDials+10 {
			t.Errorf("%d dials in the first second", n)
		}
		time.Sleep(time.Minute)
		if n := len(s.dialTimes(begun.Add(time.Second))); n > 2*60 || n < 30 {
			t.Errorf("%d dials in a minute, want about one a second", n)
		}
		if p.Stats().Dialing > 1 {
			t.Error("more than one prober")
		}

		s.refuseAll("", "")
		room := time.Now()
		times := awaitDials(t, s, room, 2+4+8)
		if late := times[0].Sub(room); late > gate.MaxBackoff {
			t.Errorf("room was found after %s", late)
		}
		// The ramp: one, and each time as many as have succeeded, doubled.
		for i, want := range []time.Duration{10, 10, 20, 20, 20, 20} {
			if got := times[i+1].Sub(times[0]); got != want*time.Millisecond {
				t.Errorf("dial %d began %s after the first, want %dms", i+1, got, want)
			}
		}
		for _, c := range callers {
			<-c.done
			if c.err != nil {
				t.Error(c.err)
			}
		}
		for _, text := range []string{"no new connections", "new connections again"} {
			if lines := log.with(t, text); len(lines) != 1 {
				t.Errorf("%q is in the log %d times", text, len(lines))
			}
		}
	})
}

// A server that has no room now and then is one line with one all-clear; another
// trouble is told at once.
func TestDialsThatFailNowAndThen(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, log *logLines) {
		refused := func(code, message string) {
			s.refuseAll(code, message)
			p.Recycle()
			time.Sleep(10 * time.Second)
			s.refuseAll("", "")
			time.Sleep(10 * time.Second)
		}
		if err := p.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 30 {
			refused(pgdriver.StateTooManyConnections, "sorry, too many clients already")
		}
		if s := p.Stats(); s.DialErrorCount < 30 {
			t.Fatalf("%d dials failed", s.DialErrorCount)
		}
		lines, over := log.with(t, "no new connections"), log.with(t, "new connections again")
		if len(lines) != 1 || lines[0]["reason"] != "server full" || len(over) != 1 {
			t.Errorf("told: %v, %v", lines, over)
		}
		refused("57P03", "the database system is starting up")
		lines, over = log.with(t, "no new connections"), log.with(t, "new connections again")
		if len(lines) != 2 || lines[1]["reason"] != "starting up" || len(over) != 2 {
			t.Errorf("told: %v, %v", lines, over)
		}
	})
}

// awaitDials waits for n dials since a moment.
func awaitDials(t *testing.T, s *wireServer, since time.Time, n int) []time.Time {
	t.Helper()
	for range 10_000 {
		if times := s.dialTimes(since.Add(-1)); len(times) >= n {
			return times
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%d dials, want %d", len(s.dialTimes(since.Add(-1))), n)
	return nil
}

// TestDialOutlivesItsCaller has a caller go away while its dial is under way:
// the next one gets the connection when it is there, and nobody dials again.
func TestDialOutlivesItsCaller(t *testing.T) {
	inWire(t, sized(5, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.with(func(f *wireFaults) { f.connect = time.Second })
		ctx, cancel := context.WithCancel(t.Context())
		first := askWire(ctx, p, "x")
		time.Sleep(500 * time.Millisecond)
		cancel()
		first.want(t, 500*time.Millisecond, context.Canceled)
		askWire(t.Context(), p, "x").want(t, 500*time.Millisecond, nil)
		if _, _, opened := s.figures(); opened != 1 {
			t.Errorf("opened %d connections", opened)
		}
	})
}

// TestConnectTimeout bounds a dial that hangs; the caller waits on for the next.
func TestConnectTimeout(t *testing.T) {
	inWire(t, func(c *config.Config) { c.ConnectTimeout, c.PoolTimeout = 3*time.Second, time.Minute }, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.deafen()
		a := askWire(t.Context(), p, "x")
		time.Sleep(3*time.Second - 1)
		if n := p.Stats().DialErrorCount; n != 0 {
			t.Errorf("%d dials failed before their time", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if d := p.Stats().LastDialError; d == nil || d.Reason != "no answer" {
			t.Errorf("%v", d)
		}
		s.mu.Lock()
		s.deaf = false
		s.mu.Unlock()
		<-a.done
		if a.err != nil || a.after > 3*time.Second+gate.MinBackoff {
			t.Errorf("%v after %s", a.err, a.after)
		}
	})
}

// TestDeadConnectionsKeepTheirPlace has two callers whose connections died under
// them while no new one can be had: what is given back is theirs, one by one, in
// the order in which they asked, before those who came later.
func TestDeadConnectionsKeepTheirPlace(t *testing.T) {
	var texts atomic.Int64
	calls := map[string]func(ctx context.Context, p *Pool) error{
		"ExecContext": func(ctx context.Context, p *Pool) error { _, err := p.ExecContext(ctx, "sleep 1s"); return err },
		"DB().ExecContext": func(ctx context.Context, p *Pool) error {
			_, err := p.DB().ExecContext(ctx, "sleep 1s")
			return err
		},
		"BeginTx": func(ctx context.Context, p *Pool) error {
			tx, err := p.BeginTx(ctx, nil)
			if err == nil {
				time.Sleep(time.Second)
				err = tx.Rollback()
			}
			return err
		},
		"Conn": func(ctx context.Context, p *Pool) error {
			c, err := p.Conn(ctx)
			if err == nil {
				time.Sleep(time.Second)
				err = c.Close()
			}
			return err
		},
		"PrepareContext": func(ctx context.Context, p *Pool) error {
			s, err := p.PrepareContext(ctx, fmt.Sprint("prepared ", texts.Add(1))) // pgx parses one text once
			if err == nil {
				time.Sleep(time.Second)
				err = s.Close()
			}
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			inWire(t, sized(3, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				held := holdAll(t, p, 3)
				live := heldPID(t, p)
				giveBack(held[1:])
				s.with(func(f *wireFaults) {
					f.script = func(w *wireSession, _ pgproto3.FrontendMessage) bool {
						if w.PID == live {
							time.Sleep(time.Millisecond) // so that no two are served at one time
							return true
						}
						time.Sleep(100 * time.Millisecond) // so that both have begun when they are found dead
						return false
					}
				})
				s.deafen()
				time.Sleep(2 * pgdriver.FreshFor)
				var order []int
				var mu sync.Mutex
				done := make(chan struct{})
				for i := range 3 {
					go func() {
						defer func() { done <- struct{}{} }()
						if err := call(t.Context(), p); err != nil {
							t.Error(err)
						}
						mu.Lock()
						defer mu.Unlock()
						order = append(order, i)
					}()
					synctest.Wait()
				}
				time.Sleep(500 * time.Millisecond)
				if st := p.Stats(); st.Waiting != 3 || st.InUse != 1 {
					t.Errorf("%d wait, %d in use", st.Waiting, st.InUse)
				}
				held[0].Close()
				for range 3 {
					<-done
				}
				if !slices.IsSorted(order) {
					t.Errorf("served in the order %v", order)
				}
				if st := p.Stats(); st.TimeoutCount != 0 || st.OpenedCount != 3 {
					t.Errorf("%d timed out, %d opened", st.TimeoutCount, st.OpenedCount)
				}
				time.Sleep(10 * time.Second) // what cancels for the dead gives up
			})
		})
	}
}

// TestDeadConnectionsKeepTheirPatience bounds all tries together by pool_timeout.
func TestDeadConnectionsKeepTheirPatience(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		openAll(t, p, 1)
		s.kill(everyone)
		s.deafen()
		time.Sleep(time.Second)
		asked := time.Now()
		if _, err := p.BeginTx(t.Context(), nil); !errors.Is(err, ErrPoolTimeout) {
			t.Error(err)
		}
		if took := time.Since(asked); took != p.cfg.PoolTimeout {
			t.Errorf("gave up after %s", took)
		}
	})
}

// holdAll takes n connections.
func holdAll(t *testing.T, p *Pool, n int) (held []*sql.Conn) {
	t.Helper()
	for range n {
		c, err := p.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	return held
}

// openAll opens n connections and leaves them idle.
func openAll(t *testing.T, p *Pool, n int) {
	t.Helper()
	for _, c := range holdAll(t, p, n) {
		_ = c.Close()
	}
}

// heldPID is the session of who holds a connection longest.
func heldPID(t *testing.T, p *Pool) uint32 {
	t.Helper()
	h := p.Holders(1)
	if len(h) == 0 || h[0].PID == 0 {
		t.Fatalf("%v", h)
	}
	return h[0].PID
}

// TestSpareDies has a connection die that was dialed and never used.
func TestSpareDies(t *testing.T) {
	inWire(t, sized(3, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.with(func(f *wireFaults) { f.connect = time.Second })
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		askWire(ctx, p, "x").want(t, 500*time.Millisecond, context.DeadlineExceeded)
		time.Sleep(time.Minute)
		if st := p.Stats(); st.Idle != 1 {
			t.Fatalf("%d idle", st.Idle)
		}
		s.kill(everyone)
		askWire(t.Context(), p, "x").want(t, time.Second, nil)
		if c := p.Stats().Closed; c.Broken != 1 {
			t.Errorf("closed %+v", c)
		}
	})
}

// TestSlowEnd has sessions that take their time to end: their slots wait with them.
func TestSlowEnd(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		askWire(t.Context(), p, "x").want(t, 0, nil)
		s.with(func(f *wireFaults) { f.end = 3 * time.Second })
		p.Recycle()
		time.Sleep(2 * maxPeriod)
		synctest.Wait()
		if st := p.Stats(); st.Closing != 1 {
			t.Fatalf("%d closing", st.Closing)
		}
		a := askWire(t.Context(), p, "x")
		<-a.done
		if a.err != nil || a.after == 0 {
			t.Errorf("%v after %s", a.err, a.after)
		}
		if _, peak, _ := s.figures(); peak != 1 {
			t.Errorf("%d sessions at once", peak)
		}
		s.with(func(f *wireFaults) { f.end = 0 })
	})
}

// TestQuarantine has a session whose end does not come for a long time. Its slot
// is kept as long as it lives, whatever DB_STATEMENT_TIMEOUT says.
func TestQuarantine(t *testing.T) {
	inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.StatementTimeout = 1, 0, 5*time.Second }, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		askWire(t.Context(), p, "x").want(t, 0, nil)
		s.with(func(f *wireFaults) { f.end = 2 * time.Minute })
		p.Recycle()
		askWire(t.Context(), p, "x").want(t, 0, nil) // its turn came when it was given back
		synctest.Wait()
		if st := p.Stats(); st.Closing != 1 {
			t.Fatalf("%d closing", st.Closing)
		}
		s.with(func(f *wireFaults) { f.end = 0 })
		time.Sleep(gate.QuarantineAfter - 1)
		if st := p.Stats(); st.Quarantined != 0 {
			t.Error("quarantined too early")
		}
		time.Sleep(time.Nanosecond)
		if st := p.Stats(); st.Quarantined != 1 {
			t.Error("not quarantined")
		}
		askWire(t.Context(), p, "x").want(t, p.cfg.PoolTimeout, ErrPoolTimeout)
		time.Sleep(2*time.Minute - gate.QuarantineAfter - p.cfg.PoolTimeout)
		askWire(t.Context(), p, "x").want(t, 0, nil)
		if _, peak, _ := s.figures(); peak != 1 {
			t.Errorf("%d sessions at once", peak)
		}
	})
}

// TestHopeless answers at once what waiting does not change, and notices the
// change with the next caller after the backoff.
func TestHopeless(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.refuseAll(pgdriver.StateInvalidPassword, "password authentication failed")
		var dial *DialError
		for range 3 {
			a := askWire(t.Context(), p, "x")
			<-a.done
			if !errors.As(a.err, &dial) || dial.Reason != "authentication" || a.after != 0 {
				t.Errorf("%v after %s", a.err, a.after)
			}
		}
		if n := p.Stats().DialCount; n != 1 {
			t.Errorf("%d dials for three callers in one moment", n)
		}
		s.refuseAll("", "")
		time.Sleep(gate.MinBackoff)
		askWire(t.Context(), p, "x").want(t, 0, nil)
		if st := p.Stats(); !st.Server.OK {
			t.Errorf("%+v", st.Server)
		}
	})
}

// TestHopelessWithConnections serves from those that exist.
func TestHopelessWithConnections(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		askWire(t.Context(), p, "x").want(t, 0, nil)
		s.refuseAll(pgdriver.StateInvalidPassword, "password authentication failed")
		first, second := askWire(t.Context(), p, "sleep 1s"), askWire(t.Context(), p, "sleep 1s")
		<-first.done
		<-second.done
		if first.err != nil || second.err != nil || max(first.after, second.after) != 2*time.Second {
			t.Errorf("%v after %s, %v after %s", first.err, first.after, second.err, second.after)
		}
	})
}

// TestTroublePasses finds out that the server is well again although nobody asks.
func TestTroublePasses(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.refuseAll(pgdriver.StateCannotConnectNow, "the database system is starting up")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a := askWire(ctx, p, "x")
		<-a.done
		if st := p.Stats(); st.Server.Reason != "starting up" {
			t.Fatalf("%+v", st.Server)
		}
		s.refuseAll("", "")
		time.Sleep(gate.IdleProbe + maxPeriod + gate.MaxBackoff)
		synctest.Wait()
		if st := p.Stats(); !st.Server.OK || st.Idle != 1 {
			t.Errorf("%+v, %d idle", st.Server, st.Idle)
		}
	})
}
