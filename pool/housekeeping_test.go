package pool

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// TestSweepIsNoOverflow has the housekeeper look for what is to be replaced while
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

// TestInternalTimeoutIsInNoStatistics has a holder of the pool's own, whose
// connection died, wait for another in vain.
func TestInternalTimeoutIsInNoStatistics(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		k := &gate.Permit{Internal: true, Lane: gate.Probe}
		if err := r.acquire(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		r.gate.Lose(k, connstate.CloseBroken)
		if err := r.acquireAgain(t.Context(), k, 0); !errors.Is(err, ErrPoolTimeout) {
			t.Error(err)
		}
		if n := r.Stats().TimeoutCount; n != 0 {
			t.Errorf("%d timed out", n)
		}
		setConns(t, r.gate, 1)
	})
}
