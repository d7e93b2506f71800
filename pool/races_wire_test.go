package pool

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// TestNothingRecycledWhileTheServerFlaps lets all connections grow old while the
// server refuses and admits new ones by turns, at every moment of housekeeping:
// none goes before its replacement has come.
func TestNothingRecycledWhileTheServerFlaps(t *testing.T) {
	const size, lifetime = 3, 10 * time.Second
	inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.PoolRecycle = size, 1, lifetime }, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		openAll(t, p, size)
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		fewest, refuses := size, false
		for end := time.Now().Add(30 * lifetime); time.Now().Before(end); {
			if refuses = !refuses; refuses {
				s.refuseAll(pgdriver.StateTooManyConnections, "sorry, too many clients already")
			} else {
				s.refuseAll("", "")
			}
			for d := time.Duration(random.Int64N(int64(700 * time.Millisecond))); d > 0; d -= 7 * time.Millisecond {
				time.Sleep(7 * time.Millisecond)
				fewest = min(fewest, p.Stats().Open())
			}
		}
		s.refuseAll("", "")
		if fewest < size {
			t.Errorf("at times only %d of %d were open; seed %d", fewest, size, seed)
		}
		if n := p.Stats().Closed.Recycled; n < size {
			t.Errorf("%d were replaced: the test shows nothing", n)
		}
		if n := p.db.Stats().MaxLifetimeClosed; n != 0 {
			t.Errorf("database/sql closed %d by its own lifetime", n)
		}
	})
}

// TestBurstsKeepOverflow has bursts of all sizes come within the linger of each
// other, and others below PoolSize between them: no overflow is closed, whatever
// housekeeping does meanwhile.
func TestBurstsKeepOverflow(t *testing.T) {
	const size, overflow, linger = 2, 3, 10 * time.Second
	inWire(t, func(c *config.Config) {
		c.PoolSize, c.MaxOverflow, c.OverflowLinger, c.PoolRecycle = size, overflow, linger, 1000*time.Hour
	}, func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		openAll(t, p, size+overflow)
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		for last := time.Now(); time.Since(last) < linger-time.Second; time.Sleep(time.Duration(random.Int64N(int64(time.Second)))) {
			n := 1 + random.IntN(size+overflow)
			openAll(t, p, n)
			if n > size && random.IntN(400) > 0 { // the last of them comes some day
				last = time.Now()
			} else if n > size {
				break
			}
		}
		synctest.Wait()
		if st := p.Stats(); st.OpenedCount != size+overflow || st.Closed.Total() != 0 {
			t.Errorf("opened %d, closed %+v; seed %d", st.OpenedCount, st.Closed, seed)
		}
	})
}

// slowGrant is an observer that takes its time between a grant and its use.
type slowGrant struct {
	nobody
	granted func()
}

func (o slowGrant) AcquireEnd(context.Context, Lane, string, time.Duration, error) { o.granted() }

// TestDiesBetweenGrantAndUse ends the session after the connection was granted and
// before it is used, as when the machine had other things to do for a moment.
func TestDiesBetweenGrantAndUse(t *testing.T) {
	for _, words := range []bool{true, false} {
		for name, call := range map[string]wireCall{"query": known, "exec": exec, "transaction": transaction("known"), "conn": ownConn, "DB": lent, "ping": ping, "prepare": prepare} {
			t.Run(name, func(t *testing.T) {
				granted := func() {}
				inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
					if err := known(t.Context(), p); err != nil {
						t.Fatal(err)
					}
					granted = func() {
						granted = func() {}
						if words {
							s.kill(everyone)
						} else {
							s.vanish()
						}
						time.Sleep(20 * time.Millisecond)
					}
					if err := call(t.Context(), p); err != nil {
						t.Errorf("the session had ended 20 ms before: %v", err)
					}
				}, WithObserver(slowGrant{granted: func() { granted() }}))
			})
		}
	}
}

// vanish ends all sessions without a word.
func (s *wireServer) vanish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.sessions {
		_ = w.Conn.Close()
	}
}

// TestDyingAtOnceIsNoStorm has every session end at its first use, for all ways to
// a connection: the pool tries on for pool_timeout, and does not storm the server.
func TestDyingAtOnceIsNoStorm(t *testing.T) {
	for name, c := range map[string]struct {
		call wireCall
		at   func(pgproto3.FrontendMessage) bool
	}{
		"ping":        {ping, atText("-- ping")},
		"query":       {query, atParse},
		"prepare":     {prepare, atParse},
		"DB":          {lent, atParse},
		"conn":        {ownConn, atParse},
		"transaction": {transaction(""), atText("begin")},
	} {
		t.Run(name, func(t *testing.T) {
			inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				s.with(func(f *wireFaults) {
					f.connect = time.Millisecond
					f.script = func(w *wireSession, m pgproto3.FrontendMessage) bool {
						if c.at(m) {
							w.Send(goodbye)
							return false
						}
						return true
					}
				})
				asked := time.Now()
				err := c.call(t.Context(), p)
				took, st := time.Since(asked), p.Stats()
				t.Logf("%v after %s, %d dials", err, took, st.DialCount)
				if err == nil || took > p.cfg.PoolTimeout+time.Second {
					t.Errorf("%v after %s", err, took)
				}
				if most := 20 + uint64(took/lastPause)*3/2; st.DialCount > most {
					t.Errorf("%d dials in %s, want %d at most", st.DialCount, took, most)
				}
			})
		})
	}
}
