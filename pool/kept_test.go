package pool

import (
	"context"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
)

// watched is a rig whose monitor saw a server, and what blocked it.
func watched(r *rig, blockers ...ServerBlocker) {
	v := ServerView{At: time.Now(), Role: "app", Blockers: blockers, KeepPlace: true}
	for _, b := range blockers {
		v.LockWaiting = append(v.LockWaiting, b.Blocks...)
	}
	r.ObserveServer(v)
}

// probes reports whether a monitor gets a connection at once.
func probes(t *testing.T, r *rig) bool {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	v := r.ask(ContextWithLane(ctx, LaneProbe))
	<-v.done
	if v.err != nil {
		return false
	}
	v.release()
	return true
}

func TestAPlaceIsKeptForTheMonitor(t *testing.T) {
	inRig(t, 5, func(t *testing.T, r *rig) {
		watched(r)
		held := r.fill(4)
		fifth := r.ask(t.Context())
		fifth.wantWaiting()
		if s := r.Stats(); s.Kept != 1 || s.Available() != 4 || s.Usage() != 100 {
			t.Errorf("%+v", s)
		}
		if !probes(t, r) {
			t.Error("the monitor got no connection while callers hold all others")
		}
		fifth.wantWaiting()
		// The server, asked just now, knows of no lock: the place is lent.
		time.Sleep(gate.LendAfter)
		watched(r)
		fifth.wantServed()
		if probes(t, r) {
			t.Error("what was lent was given twice")
		}
		releaseAll(append(held, fifth))
		if s := r.Stats(); s.Kept != 1 {
			t.Errorf("the loan has not ended: %+v", s)
		}
	})
}

func TestTheKeptPlaceIsNotLentWhileALockIsHeld(t *testing.T) {
	inRig(t, 5, func(t *testing.T, r *rig) {
		watched(r)
		held := r.fill(4)
		fifth := r.ask(t.Context())
		time.Sleep(gate.LendAfter)
		r.gate.Lend(false, time.Now())
		r.ObserveServer(ServerView{At: time.Now(), Silent: time.Now(), KeepPlace: true})
		fifth.wantWaiting()
		if !probes(t, r) {
			t.Error("the monitor got no connection")
		}
		releaseAll(append(held, fifth))
	})
}

func TestTheKeptPlaceGoesWithItsMonitor(t *testing.T) {
	inRig(t, 5, func(t *testing.T, r *rig) {
		watched(r)
		held := r.fill(4)
		fifth := r.ask(context.WithoutCancel(t.Context()))
		fifth.wantWaiting()
		r.ObserveServer(ServerView{})
		fifth.wantServed()
		releaseAll(append(held, fifth))
		watched(r)
		time.Sleep(gate.KeptFor)
		r.gate.ForgetMonitor(time.Now())
		held = r.fill(5)
		releaseAll(held)
	})
	inRig(t, 4, func(t *testing.T, r *rig) { // too small for a place to be kept
		watched(r)
		releaseAll(r.fill(4))
	})
}

// The gate sees what no look once a second does.
func TestUsageIsSampledByTheGate(t *testing.T) {
	inRig(t, 10, func(t *testing.T, r *rig) {
		r.SampleUsage(80)
		for range 10 { // full for 810 ms of each second, and empty when somebody looks
			held := r.fill(10)
			time.Sleep(810 * time.Millisecond)
			releaseAll(held)
			time.Sleep(190 * time.Millisecond)
			if s := r.SampleUsage(80); s.Peak != 10 || s.Above != 810*time.Millisecond || s.Span != time.Second {
				t.Fatalf("%+v", s)
			}
		}
		time.Sleep(time.Second)
		if s := r.SampleUsage(80); s.Peak != 0 || s.Above != 0 {
			t.Errorf("%+v", s)
		}
		held := r.fill(7)
		if s := r.SampleUsage(80); s.Peak != 7 || s.Above != 0 {
			t.Errorf("%+v", s)
		}
		releaseAll(held)
	})
}
