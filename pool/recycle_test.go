package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// history is what became of a pool's connections, moment by moment.
type history struct {
	fewest, most int             // connections open
	closed       []time.Duration // when each was closed
}

// follow looks at the pool every millisecond.
func follow(p *Pool, d time.Duration) *history {
	h := &history{fewest: p.Stats().Open()}
	begun, before := time.Now(), p.Stats().Closed.Total()
	for time.Since(begun) < d {
		time.Sleep(time.Millisecond)
		synctest.Wait()
		s := p.Stats()
		h.fewest, h.most = min(h.fewest, s.Open()), max(h.most, s.Open())
		for ; before < s.Closed.Total(); before++ {
			h.closed = append(h.closed, time.Since(begun))
		}
	}
	return h
}

// closest is the shortest time between two closes.
func (h *history) closest() time.Duration {
	shortest := time.Hour
	for i := 1; i < len(h.closed); i++ {
		shortest = min(shortest, h.closed[i]-h.closed[i-1])
	}
	return shortest
}

// TestLifetime lets connections that were opened together grow old together.
// database/sql's own lifetime, which would close all of them together, must find
// nothing left to do.
func TestLifetime(t *testing.T) {
	const size, lifetime = 10, 100 * time.Second
	for name, overflow := range map[string]int{"room for a successor": 1, "at the limit": 0} {
		t.Run(name, func(t *testing.T) {
			inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.PoolRecycle = size, overflow, lifetime }, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				s.with(func(f *wireFaults) { f.connect = 5 * time.Millisecond })
				openAll(t, p, size)
				if young := follow(p, lifetime*3/4-time.Second); len(young.closed) != 0 {
					t.Errorf("closed after %s", young.closed)
				}
				h := follow(p, lifetime/4+time.Second)
				if len(h.closed) != size || h.most > size+overflow || h.fewest < size-1+overflow {
					t.Errorf("%d of %d replaced, at times %d to %d open", len(h.closed), size, h.fewest, h.most)
				}
				if gap := lifetime / (10 * (size + 1)); h.closest() < gap {
					t.Errorf("two were replaced within %s, want %s between them", h.closest(), gap)
				}
				if n := p.db.Stats().MaxLifetimeClosed; n != 0 {
					t.Errorf("database/sql closed %d of them", n)
				}
				if _, peak, _ := s.figures(); peak > size+overflow {
					t.Errorf("%d sessions at once", peak)
				}
			})
		})
	}
}

// TestRecyclePace replaces idle connections one after the other.
func TestRecyclePace(t *testing.T) {
	const size = 10
	inWire(t, sized(size, 1), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		openAll(t, p, size)
		p.Recycle()
		h := follow(p, 10*time.Second)
		if len(h.closed) != size || h.fewest < size || h.closest() < recycleGap {
			t.Errorf("%d of %d replaced, at times %d open, two of them within %s", len(h.closed), size, h.fewest, h.closest())
		}
		if last := h.closed[len(h.closed)-1]; last > maxPeriod+2*size*recycleGap {
			t.Errorf("it took %s", last)
		}
	})
}

// TestNothingRecycledInTrouble keeps what it has while nothing new can be had,
// and afterwards does not give up everything that grew old meanwhile at once.
func TestNothingRecycledInTrouble(t *testing.T) {
	const size, lifetime = 5, 20 * time.Second
	inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.PoolRecycle = size, 1, lifetime }, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		openAll(t, p, size)
		s.with(func(f *wireFaults) { f.limit = size })
		if h := follow(p, 10*lifetime); len(h.closed) != 0 {
			t.Errorf("closed after %s, with nothing to replace them", h.closed)
		}
		s.with(func(f *wireFaults) { f.limit = 0 })
		h := follow(p, lifetime)
		if len(h.closed) < size || h.fewest < size {
			t.Errorf("%d of %d replaced, at times %d open", len(h.closed), size, h.fewest)
		}
	})
}

// TestNothingRecycledAtTheLimit has to give a connection up to find out that
// there is no other to be had; it does so once.
func TestNothingRecycledAtTheLimit(t *testing.T) {
	const size, lifetime = 5, 20 * time.Second
	inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.PoolRecycle = size, 0, lifetime }, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		openAll(t, p, size)
		s.refuseAll(pgdriver.StateTooManyConnections, "sorry, too many clients already")
		p.Recycle()
		if h := follow(p, 10*lifetime); len(h.closed) != 1 {
			t.Errorf("closed after %s", h.closed)
		}
		if n := p.Stats().DialErrorCount; n > uint64(10*lifetime/gate.IdleProbe)+2 {
			t.Errorf("%d dials for nobody", n)
		}
		s.refuseAll("", "")
		if h := follow(p, lifetime); len(h.closed) < size-1 {
			t.Errorf("closed after %s", h.closed)
		}
	})
}

// TestLinger lets overflow stay for a while after a burst, or not.
func TestLinger(t *testing.T) {
	const size, overflow = 2, 3
	for _, linger := range []time.Duration{0, 30 * time.Second} {
		t.Run(linger.String(), func(t *testing.T) {
			inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.OverflowLinger = size, overflow, linger }, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				for range 10 { // bursts
					openAll(t, p, size+overflow)
					synctest.Wait()
					time.Sleep(time.Second)
				}
				idle, want := p.Stats().Idle, size+overflow
				if linger == 0 {
					want = size
				}
				if idle != want {
					t.Errorf("%d idle after the bursts, want %d", idle, want)
				}
				if linger > 0 {
					if n := p.Stats().OpenedCount; n != size+overflow {
						t.Errorf("opened %d connections in ten bursts", n)
					}
					time.Sleep(linger - 2*time.Second)
					if n := p.Stats().Idle; n != size+overflow {
						t.Errorf("%d idle before the linger was over", n)
					}
				}
				time.Sleep(4 * time.Second)
				synctest.Wait()
				if n := p.Stats().Idle; n != size {
					t.Errorf("%d idle in the end, want %d", n, size)
				}
			})
		})
	}
}
