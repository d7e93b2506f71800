package pool

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
)

// TestStranded gets a caller out of database/sql's own queue. It has met two dead
// connections in a row there, and so does not look into the free list a third time, but
// asks for a new one, of which there are as many as are allowed. By itself that takes a few
// microseconds in which everything comes together; here database/sql's limit is
// lowered meanwhile, which comes to the same.
func TestStranded(t *testing.T) {
	inWire(t, sized(3, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		held := holdAll(t, p, 3)
		live := heldPID(t, p)
		giveBack(held[1:])
		s.with(func(f *wireFaults) {
			f.script = func(w *wireSession, _ pgproto3.FrontendMessage) bool {
				if w.pid != live {
					time.Sleep(100 * time.Millisecond) // so that the limit can be lowered before it is found dead
				}
				return w.pid == live
			}
		})
		asked := time.Now()
		stranded := askWire(t.Context(), p, "x")
		time.Sleep(150 * time.Millisecond)
		giveBack(held[:1]) // so it lies free when the second one is found dead
		p.db.SetMaxOpenConns(1)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n := p.db.Stats(); n.WaitCount != 1 || n.Idle != 1 || n.OpenConnections != 1 {
			t.Fatalf("nobody is stranded: %+v", n)
		}
		p.db.SetMaxOpenConns(3) // this wakes nobody
		p.idle.set()
		before := p.Stats()
		<-stranded.done
		if d := time.Since(asked); stranded.err != nil || d > 3*maxPeriod {
			t.Errorf("freed after %s, %v", d, stranded.err)
		}
		if st := p.Stats(); st.AcquireCount != before.AcquireCount || st.OpenedCount != before.OpenedCount || st.TimeoutCount != 0 {
			t.Errorf("the keeper is in the statistics: %+v, before %+v", st, before)
		}
	})
}

// TestKeeperIsNotStranded has somebody take so long a look at the only connection
// that it seems to lie free, and then hold it: the keeper must not wait for it,
// nor have another one dialed.
func TestKeeperIsNotStranded(t *testing.T) {
	inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.LeakThreshold = 2, 0, time.Minute }, func(t *testing.T, p *Pool, s *wireServer, log *logLines) {
		leaveIdle(t, p, 1)
		time.Sleep(maxPeriod / 2) // so that the keeper comes by while the look lasts longer than its period
		s.with(func(f *wireFaults) {
			f.script = func(*wireSession, pgproto3.FrontendMessage) bool {
				time.Sleep(cancelGrace - 100*time.Millisecond)
				return true
			}
		})
		held := holdAll(t, p, 1)
		s.with(func(f *wireFaults) { f.script = nil })
		time.Sleep(time.Hour)
		if n := len(log.with(t, leakLine)); n != 1 {
			t.Errorf("warned %d times of the holder", n)
		}
		if st := p.Stats(); st.OpenedCount != 1 || st.DialCount != 1 {
			t.Errorf("%d opened, %d dials", st.OpenedCount, st.DialCount)
		}
		giveBack(held)
	})
}

// TestSweepIsNoOverflow has the keeper look for what is to be replaced while
// overflow lingers: that does not keep it any longer.
func TestSweepIsNoOverflow(t *testing.T) {
	const linger = 10 * time.Second
	inWire(t, func(c *config.Config) {
		c.PoolSize, c.MaxOverflow, c.OverflowLinger, c.ConnectTimeout = 2, 3, linger, time.Minute
	}, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		leaveIdle(t, p, 4)
		s.deafen()
		time.Sleep(linger / 2)
		p.Recycle()
		time.Sleep(linger/2 + 2*maxPeriod)
		synctest.Wait()
		if n := p.Stats().Idle; n != 2 {
			t.Errorf("%d idle after the linger, want PoolSize", n)
		}
	})
}

// TestSweepLeavesAloneWhatIsHeld does not search the idle connections, again and
// again, for one that somebody holds.
func TestSweepLeavesAloneWhatIsHeld(t *testing.T) {
	inWire(t, sized(3, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		held := holdAll(t, p, 3)
		giveBack(held[1:])
		p.Recycle()
		time.Sleep(10 * time.Second)
		messages := 0
		s.with(func(f *wireFaults) {
			f.script = func(*wireSession, pgproto3.FrontendMessage) bool { messages++; return true }
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if messages != 0 {
			t.Errorf("%d looks at idle connections", messages)
		}
		s.with(func(f *wireFaults) { f.script = nil })
		giveBack(held[:1])
		wantReplaced(t, p, 3, 3)
	})
}

// TestOverLimitTakesNoTurn closes what a smaller limit leaves over as surplus, and
// replaces none of it, although it is due.
func TestOverLimitTakesNoTurn(t *testing.T) {
	inWire(t, sized(6, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		held := holdAll(t, p, 6)
		p.Recycle()
		if err := p.Resize(2, 0); err != nil {
			t.Fatal(err)
		}
		for _, c := range held {
			_ = c.Close()
			time.Sleep(2 * recycleGap)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := p.Stats(); st.Open() != 2 || st.Closed.Surplus != 4 || st.Closed.Recycled != 2 {
			t.Errorf("%d open, closed %+v", st.Open(), st.Closed)
		}
	})
}

// TestResizeWhileOneIsClosing does not forget the successor of a connection whose
// session takes its time to end.
func TestResizeWhileOneIsClosing(t *testing.T) {
	inWire(t, sized(3, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		leaveIdle(t, p, 3)
		s.with(func(f *wireFaults) { f.end = 5 * time.Second })
		p.Recycle()
		time.Sleep(maxPeriod + time.Millisecond)
		synctest.Wait()
		if n := p.Stats().Closing; n != 1 {
			t.Fatalf("%d closing", n)
		}
		if err := p.Resize(3, 0); err != nil {
			t.Fatal(err)
		}
		wantReplaced(t, p, 3, 3)
		s.with(func(f *wireFaults) { f.end = 0 })
	})
}

// TestKeepersTimeoutIsInNoStatistics has a holder of the pool's own, whose
// connection died, seek another in vain.
func TestKeepersTimeoutIsInNoStatistics(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		k := &permit{Context: t.Context()}
		if err := r.errand(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		r.gate.setConns(0)
		if _, err := r.gate.seek(t.Context(), k); !errors.Is(err, ErrPoolTimeout) {
			t.Error(err)
		}
		if n := r.Stats().TimeoutCount; n != 0 {
			t.Errorf("%d timed out", n)
		}
		r.leave(k)
		r.gate.setConns(1)
	})
}
