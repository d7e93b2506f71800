package gate

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// crowd does random things at a gate and knows what must be true of it.
type crowd struct {
	*rig
	t       *testing.T
	rnd     *rand.Rand
	waiting []*guest // in order of arrival
	holding []*guest
	tally   struct{ asked, served, released, timedOut, shed, canceled, early, closed, probes uint64 }
	closed  bool
}

type guest struct {
	*visit
	lane   Lane
	cancel context.CancelFunc
}

func TestGateKeepsItsPromisesWhateverHappens(t *testing.T) {
	for range 20 {
		inRig(t, 6, func(t *testing.T, r *rig) {
			c := &crowd{rig: r, t: t, rnd: seeded(t)}
			for range 300 {
				c.step()
				c.check()
			}
			c.end()
			c.check()
		}, func(o *Options, r *rig) { o.MaxWaiters, r.timeout = 12, 2*time.Second })
	}
}

func (c *crowd) step() {
	steps := []func(){c.arrive, c.arrive, c.arrive, c.release, c.release, c.leave, c.pause, c.lose, c.open, c.resize}
	steps[c.rnd.IntN(len(steps))]()
	synctest.Wait()
	c.sort()
}

func (c *crowd) arrive() {
	m := &guest{lane: Lane(c.rnd.IntN(int(lanes)))}
	ctx := inLane(c.t.Context(), m.lane)
	if c.rnd.IntN(2) == 0 {
		ctx, m.cancel = context.WithCancel(ctx)
	} else {
		ctx, m.cancel = context.WithTimeout(ctx, time.Duration(c.rnd.Int64N(int64(3*time.Second))))
	}
	m.visit = c.ask(ctx)
	c.waiting = append(c.waiting, m)
	c.tally.asked++
}

func (c *crowd) pause() { time.Sleep(time.Duration(c.rnd.Int64N(int64(time.Second)))) }

func (c *crowd) leave() {
	if len(c.waiting) > 0 {
		c.waiting[c.rnd.IntN(len(c.waiting))].cancel()
	}
}

func (c *crowd) release() { c.giveBack(connstate.CloseUnknown) }
func (c *crowd) lose()    { c.giveBack(connstate.CloseBroken) }

// giveBack has a random holder give its connection back, or lose it.
func (c *crowd) giveBack(reason connstate.CloseReason) {
	if len(c.holding) == 0 {
		return
	}
	i := c.rnd.IntN(len(c.holding))
	k := c.holding[i].k
	c.holding[i].cancel()
	c.holding = slices.Delete(c.holding, i, i+1)
	if !c.Release(k, time.Now(), reason).Released {
		c.t.Error("the permit did not come back")
	}
	c.tally.released++
}

// open opens a connection if there is room.
func (c *crowd) open() {
	if s := c.figures(); s.InUse+s.Idle < s.Limit {
		c.setConns(s.InUse + s.Idle + 1)
	}
}

func (c *crowd) resize() {
	if c.rnd.IntN(2) == 0 {
		c.SetShare(c.rnd.IntN(8))
		return
	}
	c.Resize(1+c.rnd.IntN(3), 4+c.rnd.IntN(5))
}

// sort finds out what became of those who waited. In each lane nobody may have
// been served before one who came earlier and still waits.
func (c *crowd) sort() {
	var passed [lanes]bool // somebody of this lane waits
	c.waiting = slices.DeleteFunc(c.waiting, func(m *guest) bool {
		if !m.decided() {
			passed[m.lane] = true
			return false
		}
		if m.err == nil && passed[m.lane] {
			c.t.Errorf("one of lane %d was served out of turn", m.lane)
		}
		c.count(m)
		return true
	})
}

func (c *crowd) count(m *guest) {
	n := &c.tally
	switch {
	case m.err == nil:
		n.served++
		c.holding = append(c.holding, m)
		return
	case m.k.Asked.IsZero():
		n.early++ // its context had ended
	case errors.Is(m.err, ErrTimeout) && m.lane == Probe:
		n.probes++ // a monitor's, which is no caller
	case errors.Is(m.err, ErrTimeout):
		n.timedOut++
	case errors.Is(m.err, ErrOverloaded):
		n.shed++
	case errors.Is(m.err, context.Canceled):
		n.canceled++
	case errors.Is(m.err, ErrClosed) && c.closed:
		n.closed++
	default:
		c.t.Errorf("left with %v", m.err)
	}
	m.cancel()
}

// check compares Stats with what the crowd knows.
func (c *crowd) check() {
	c.t.Helper()
	s, n := c.figures(), c.tally
	wantConsistent(c.t, s)
	if s.InUse+s.Waiting != len(c.holding)+len(c.waiting) || len(c.Oldest(0)) != len(c.holding) {
		c.t.Errorf("in use %d + waiting %d, but %d hold and %d wait", s.InUse, s.Waiting, len(c.holding), len(c.waiting))
	}
	if s.Acquired != n.served || s.Hold.Count != n.released || s.TimedOut != n.timedOut || s.Shed != n.shed || s.Canceled != n.canceled {
		c.t.Errorf("%+v\n%+v", s, n)
	}
	if sum := n.served + n.timedOut + n.shed + n.canceled + n.early + n.closed + n.probes + uint64(len(c.waiting)); sum != n.asked {
		c.t.Errorf("%d asked, %d accounted for", n.asked, sum)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.nextLocked(); p != nil && c.freeLocked() {
		c.t.Errorf("a connection is free and one of lane %d waits", p.Lane)
	}
}

// wantConsistent checks what is true of every snapshot.
func wantConsistent(t *testing.T, s Snapshot) {
	t.Helper()
	var sum LaneFigures
	for _, l := range s.Lanes {
		sum.InUse += l.InUse
		sum.Waiting += l.Waiting
	}
	switch {
	case min(s.InUse, s.Idle, s.Dialing, s.Closing, s.Waiting, s.Quarantined) < 0,
		sum != LaneFigures{s.InUse, s.Waiting},
		s.Wait.Count != s.Acquired, s.Hold.Sum != s.HoldDuration, s.Wait.Sum > s.WaitDuration,
		s.Waited > s.Acquired, s.Hold.Count > s.Acquired,
		s.Quarantined > s.Closing, s.DialErrors > s.Dials, s.Limit > s.Configured:
		t.Errorf("contradicts itself: %+v", s)
	}
}

func (c *crowd) end() {
	if c.rnd.IntN(2) == 0 {
		c.closed = true
		c.Close()
	}
	c.sort()
	for len(c.holding) > 0 {
		c.release()
		synctest.Wait()
		c.sort()
	}
	time.Sleep(time.Minute) // whom no connection was left for
	synctest.Wait()
	c.sort()
	for len(c.holding) > 0 {
		c.release()
		synctest.Wait()
		c.sort()
	}
}

// seeded returns a random generator whose seed is in the test's log.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
