package gate

import (
	"testing"
	"time"
)

// A fleet finds places one after the other: what is pending is given up only when
// it has found none for a while.
func TestDebtsLastWhileTheFleetPaysThem(t *testing.T) {
	g := New(Options{PoolSize: 5, MaxOpen: 10, Demand: func() {}})
	g.SetShare(0) // no room
	now := time.Now()
	for range 4 {
		g.dials.closedLocked(true, now)
	}
	for paid := 1; paid <= 3; paid++ {
		now = now.Add(shareGap)
		if g.TakeTurn(now, 50*time.Millisecond); g.dials.pending != 5-paid {
			t.Fatalf("%d pending when the fleet had found %d places", g.dials.pending, paid-1)
		}
		g.dials.replacedLocked(now)
	}
	if g.TakeTurn(now.Add(shareGap+1), 50*time.Millisecond); g.dials.pending != 0 {
		t.Errorf("%d pending although the fleet finds no place", g.dials.pending)
	}
}
