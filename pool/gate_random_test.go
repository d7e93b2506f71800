package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// crowd does random things at a gate and knows what must be true of it.
type crowd struct {
	*rig
	t       *testing.T
	rnd     *rand.Rand
	waiting []*guest // in order of arrival
	holding []*guest
	tally   struct{ asked, served, released, timedOut, shed, canceled, early, closed uint64 }
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
		}, func(c *config.Config) { c.MaxWaiters, c.PoolTimeout = 12, 2*time.Second })
	}
}

func (c *crowd) step() {
	steps := []func(){c.arrive, c.arrive, c.arrive, c.release, c.release, c.leave, c.pause, c.lose, c.open, c.resize}
	steps[c.rnd.IntN(len(steps))]()
	synctest.Wait()
	c.sort()
}

func (c *crowd) arrive() {
	m := &guest{lane: Lane(c.rnd.IntN(int(laneCount)))}
	ctx := inLane(c.t, m.lane)
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

func (c *crowd) release() { c.giveBack(closeUnknown) }
func (c *crowd) lose()    { c.giveBack(closeBroken) }

// giveBack has a random holder give its connection back, or lose it.
func (c *crowd) giveBack(reason closeReason) {
	if len(c.holding) == 0 {
		return
	}
	i := c.rnd.IntN(len(c.holding))
	k := c.holding[i].k
	c.holding[i].cancel()
	c.holding = slices.Delete(c.holding, i, i+1)
	if !c.leaveFor(k, reason) {
		c.t.Error("the permit did not come back")
	}
	c.tally.released++
}

// open opens a connection if there is room.
func (c *crowd) open() {
	if s := c.Stats(); s.Open() < s.Limit {
		c.gate.setConns(s.Open() + 1)
	}
}

func (c *crowd) resize() {
	if c.rnd.IntN(2) == 0 {
		c.gate.setShare(c.rnd.IntN(8))
		return
	}
	c.gate.resize(1+c.rnd.IntN(3), 4+c.rnd.IntN(5))
}

// sort finds out what became of those who waited. In each lane nobody may have
// been served before one who came earlier and still waits.
func (c *crowd) sort() {
	var passed [laneCount]bool // somebody of this lane waits
	c.waiting = slices.DeleteFunc(c.waiting, func(m *guest) bool {
		if !m.decided() {
			passed[m.lane] = true
			return false
		}
		if m.err == nil && passed[m.lane] {
			c.t.Errorf("a %s was served out of turn", m.lane)
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
	case m.k.asked.IsZero():
		n.early++ // its context had ended
	case errors.Is(m.err, ErrPoolTimeout):
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
	s, n := c.Stats(), c.tally
	wantConsistent(c.t, s)
	if s.InUse+s.Waiting != len(c.holding)+len(c.waiting) || len(c.Holders(0)) != len(c.holding) {
		c.t.Errorf("in use %d + waiting %d, but %d hold and %d wait", s.InUse, s.Waiting, len(c.holding), len(c.waiting))
	}
	if s.AcquireCount != n.served || s.Hold.Count != n.released || s.TimeoutCount != n.timedOut || s.ShedCount != n.shed || s.AcquireCanceledCount != n.canceled {
		c.t.Errorf("%+v\n%+v", s, n)
	}
	if sum := n.served + n.timedOut + n.shed + n.canceled + n.early + n.closed + uint64(len(c.waiting)); sum != n.asked {
		c.t.Errorf("%d asked, %d accounted for", n.asked, sum)
	}
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if p := c.gate.nextLocked(); p != nil && c.gate.freeLocked() {
		c.t.Errorf("a connection is free and a %s waits", p.lane)
	}
}

// wantConsistent checks what is true of every snapshot.
func wantConsistent(t *testing.T, s Stats) {
	t.Helper()
	var lanes LaneStats
	for _, l := range s.Lanes {
		lanes.InUse += l.InUse
		lanes.Waiting += l.Waiting
	}
	switch {
	case min(s.InUse, s.Idle, s.Dialing, s.Closing, s.Waiting, s.Quarantined) < 0,
		lanes != LaneStats{s.InUse, s.Waiting},
		s.Wait.Count != s.AcquireCount, s.Hold.Sum != s.HoldDuration, s.Wait.Sum > s.WaitDuration,
		s.WaitCount > s.AcquireCount, s.Hold.Count > s.AcquireCount,
		s.Quarantined > s.Closing, s.DialErrorCount > s.DialCount, s.Limit > s.MaxOpen():
		t.Errorf("contradicts itself: %+v", s)
	}
}

func (c *crowd) end() {
	if c.rnd.IntN(2) == 0 {
		c.closed = true
		c.gate.close()
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
