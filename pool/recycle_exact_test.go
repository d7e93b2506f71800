package pool

import (
	"database/sql"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// leaveIdle opens n connections and gives them back.
func leaveIdle(t *testing.T, p *Pool, n int) {
	t.Helper()
	giveBack(holdAll(t, p, n))
	synctest.Wait()
	if s := p.Stats(); s.Idle != n {
		t.Fatalf("%d idle, want %d", s.Idle, n)
	}
}

func giveBack(held []*sql.Conn) {
	for _, c := range held {
		_ = c.Close()
	}
}

// wantReplaced lets time pass until everything has been replaced that is going to be.
func wantReplaced(t *testing.T, p *Pool, open, recycled int) {
	t.Helper()
	time.Sleep(time.Minute)
	synctest.Wait()
	s := p.Stats()
	if s.Open() != open || s.Dialing+s.Closing != 0 {
		t.Errorf("%d open, %d dialing, %d closing; want %d open", s.Open(), s.Dialing, s.Closing, open)
	}
	if c := s.Closed; c.Recycled != uint64(recycled) || c.Total() != c.Recycled {
		t.Errorf("closed %+v, want %d recycled and nothing else", c, recycled)
	}
	if now := int(s.OpenedCount - s.Closed.Total()); now != open {
		t.Errorf("%d opened more than closed, want %d", now, open)
	}
	if p.gate.Snapshot(time.Now(), 0).Replacing {
		t.Error("a replacement is still wanted")
	}
}

// size is that of a pool, and how many connections it has while idle.
type size struct{ poolSize, overflow, open int }

var sizes = []size{
	{1, 0, 1}, {1, 1, 1}, {3, 0, 1}, {3, 0, 2}, {3, 0, 3}, {5, 5, 1}, {5, 5, 3}, {5, 5, 4}, {5, 5, 5}, {2, 8, 2}, {12, 1, 12},
}

func inSizes(t *testing.T, sizes []size, edit func(*config.Config), test func(t *testing.T, p *Pool, s *wireServer, open int)) {
	for _, z := range sizes {
		t.Run(fmt.Sprintf("%d of %d+%d", z.open, z.poolSize, z.overflow), func(t *testing.T) {
			inWire(t, func(c *config.Config) {
				c.PoolSize, c.MaxOverflow, c.PoolRecycle = z.poolSize, z.overflow, 10*time.Hour
				if edit != nil {
					edit(c)
				}
			}, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				s.with(func(f *wireFaults) { f.connect = 5 * time.Millisecond })
				leaveIdle(t, p, z.open)
				test(t, p, s, z.open)
			})
		})
	}
}

// TestRecycleIsExact leaves an idle pool with as many connections as it had, all of
// them new.
func TestRecycleIsExact(t *testing.T) {
	sizes := append(sizes, size{5, 5, 7}, size{5, 5, 10}) // overflow that lingers
	inSizes(t, sizes, func(c *config.Config) { c.OverflowLinger = time.Hour }, func(t *testing.T, p *Pool, _ *wireServer, open int) {
		for round := 1; round <= 3; round++ {
			p.Recycle()
			wantReplaced(t, p, open, round*open)
		}
	})
}

// TestRecycleTwice asks again while the first time is still under way, and at once.
func TestRecycleTwice(t *testing.T) {
	for _, later := range []time.Duration{0, maxPeriod + 2*time.Millisecond, maxPeriod + 40*time.Millisecond, maxPeriod + 120*time.Millisecond} {
		inSizes(t, sizes, nil, func(t *testing.T, p *Pool, _ *wireServer, open int) {
			p.Recycle()
			time.Sleep(later)
			p.Recycle()
			time.Sleep(time.Minute)
			wantReplaced(t, p, open, int(p.Stats().Closed.Recycled))
			if n := p.Stats().OpenedCount; n > uint64(3*open+1) {
				t.Errorf("opened %d for %d", n, open)
			}
			if p.gate.AnyIdle(func(s *gate.Slot) bool { return s.Generation != 2 }) {
				t.Error("an old one is left")
			}
		})
	}
}

// TestRecycleAtAge is the same for connections that grow old, for some lifetimes.
func TestRecycleAtAge(t *testing.T) {
	const lifetime = 100 * time.Second
	inSizes(t, sizes, func(c *config.Config) { c.PoolRecycle = lifetime }, func(t *testing.T, p *Pool, _ *wireServer, open int) {
		for range 4 {
			time.Sleep(lifetime * 85 / 100)
			wantOpen(t, p, open)
		}
		if n := p.Stats().Closed.Recycled; n < uint64(3*open) {
			t.Errorf("%d replaced of %d in four lifetimes", n, open)
		}
	})
}

// wantOpen waits until no replacement is under way.
func wantOpen(t *testing.T, p *Pool, open int) {
	t.Helper()
	for range 10_000 {
		synctest.Wait()
		if g := p.gate.Snapshot(time.Now(), 0); !g.Replacing && g.Dialing+g.Closing == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if s := p.Stats(); s.Open() != open {
		t.Errorf("%d open, want %d", s.Open(), open)
	}
}

// TestRecycleWhileRefused has the server refuse dials from the first one on, or
// from a later one.
func TestRecycleWhileRefused(t *testing.T) {
	for _, from := range []time.Duration{0, maxPeriod + 60*time.Millisecond} {
		inSizes(t, sizes, nil, func(t *testing.T, p *Pool, s *wireServer, open int) {
			p.Recycle()
			time.Sleep(from)
			s.refuseAll(pgdriver.StateTooManyConnections, "sorry, too many clients already")
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := p.Stats().Open(); n < open-1 || n > open {
				t.Errorf("%d open while the server refuses, want %d or one less", n, open)
			}
			s.refuseAll("", "")
			time.Sleep(gate.IdleProbe + gate.MaxBackoff)
			wantReplaced(t, p, open, open)
		})
	}
}

// TestRecycleAfterTroubleWithoutRoom has the limit fall to what is open while the
// server refuses dials: no dial can find out any more that it has stopped.
func TestRecycleAfterTroubleWithoutRoom(t *testing.T) {
	inWire(t, sized(2, 1), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		open := holdAll(t, p, 2)
		for _, c := range open {
			c.Close()
		}
		s.refuseAll(pgdriver.StateTooManyConnections, "sorry, too many clients already")
		p.Recycle()
		time.Sleep(2 * maxPeriod)
		if p.Stats().Server.OK {
			t.Fatal("nothing was dialed")
		}
		if err := p.Resize(2, 0); err != nil {
			t.Fatal(err)
		}
		s.refuseAll("", "")
		time.Sleep(gate.IdleProbe + 5*maxPeriod)
		if st := p.Stats(); !st.Server.OK || st.Closed.Recycled != 2 || st.Open() != 2 {
			t.Errorf("server %+v, closed %+v, %d open", st.Server, st.Closed, st.Open())
		}
	})
}

// TestRecycleInUse recycles while all connections are held, overflow among them:
// those who give theirs back leave as many as there may be idle.
func TestRecycleInUse(t *testing.T) {
	for _, z := range []struct{ poolSize, overflow, held int }{{5, 5, 3}, {5, 5, 5}, {5, 5, 7}, {5, 5, 10}, {3, 0, 3}} {
		for _, linger := range []time.Duration{0, 10 * time.Second} {
			t.Run(fmt.Sprintf("%d of %d+%d, linger %s", z.held, z.poolSize, z.overflow, linger), func(t *testing.T) {
				inWire(t, func(c *config.Config) {
					c.PoolSize, c.MaxOverflow, c.PoolRecycle, c.OverflowLinger = z.poolSize, z.overflow, 10*time.Hour, linger
				}, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
					s.with(func(f *wireFaults) { f.connect = 5 * time.Millisecond })
					held := holdAll(t, p, z.held)
					p.Recycle()
					time.Sleep(3 * time.Second)
					if st := p.Stats(); st.InUse != z.held || st.Closed.Total() != 0 {
						t.Errorf("%d in use, closed %+v", st.InUse, st.Closed)
					}
					giveBack(held)
					time.Sleep(time.Minute)
					synctest.Wait()
					wantOpen(t, p, min(z.held, z.poolSize))
				})
			})
		}
	}
}

// TestRecycleWithALongHolder does not count on the one who gives nothing back.
func TestRecycleWithALongHolder(t *testing.T) {
	inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.PoolRecycle = 5, 5, 10*time.Hour }, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		held := holdAll(t, p, 4)
		giveBack(held[1:])
		p.Recycle()
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := p.Stats(); st.Open() != 4 || st.InUse != 1 || st.Closed.Recycled != 3 {
			t.Errorf("%d open, %d in use, closed %+v", st.Open(), st.InUse, st.Closed)
		}
		giveBack(held[:1])
		wantReplaced(t, p, 4, 4)
	})
}

// TestRecycleWhenOneDies has the connection die for which a successor is being dialed: it
// is replaced by that one, once.
func TestRecycleWhenOneDies(t *testing.T) {
	const dial = 300 * time.Millisecond
	for _, open := range []int{1, 3} {
		inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.PoolRecycle = 5, 2, 10*time.Hour }, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
			leaveIdle(t, p, open)
			s.with(func(f *wireFaults) { f.connect = dial })
			p.Recycle()
			time.Sleep(maxPeriod + dial/2)
			if n := p.Stats().Dialing; n != 1 {
				t.Fatalf("%d dialing", n)
			}
			one := true
			s.kill(func(uint32) bool { defer func() { one = false }(); return one })
			for range open { // somebody finds it
				giveBack(holdAll(t, p, open))
			}
			for range 2 {
				time.Sleep(time.Minute)
				wantOpen(t, p, open)
				p.Recycle()
			}
			time.Sleep(time.Minute)
			wantOpen(t, p, open)
		})
	}
}
