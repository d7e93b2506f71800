package gate

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

func TestGateServesInOrderOfArrival(t *testing.T) {
	inRig(t, 3, func(t *testing.T, r *rig) {
		held := r.fill(3)
		var order []int
		queue := make([]*visit, 50)
		for i := range queue {
			queue[i] = r.ask(t.Context())
			queue[i].wantWaiting()
			time.Sleep(time.Millisecond)
		}
		for i, v := range queue {
			held[0].release()
			held = append(held[1:], v)
			for j, other := range queue {
				if other.decided() && !slices.Contains(order, j) {
					order = append(order, j)
				}
			}
			if order[len(order)-1] != i || len(order) != i+1 {
				t.Fatalf("served %v", order)
			}
		}
		releaseAll(held)
		if s := r.figures(); s.Acquired != 53 || s.Waited != 50 {
			t.Errorf("acquired %d, waited %d", s.Acquired, s.Waited)
		}
	})
}

func TestGateForgetsWhoLeaves(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		held := r.fill(1)
		var queue []*visit
		var cancels []context.CancelFunc
		for range 9 {
			ctx, cancel := context.WithCancel(t.Context())
			queue, cancels = append(queue, r.ask(ctx)), append(cancels, cancel)
		}
		time.Sleep(time.Second)
		for _, i := range []int{4, 0, 8, 3} { // the middle, both ends, a neighbour of one that left
			cancels[i]()
			queue[i].wantError(context.Canceled)
		}
		if s := r.figures(); s.Waiting != 5 || s.Canceled != 4 || s.WaitDuration != 4*time.Second {
			t.Errorf("waiting %d, canceled %d, waited %s", s.Waiting, s.Canceled, s.WaitDuration)
		}
		for _, i := range []int{1, 2, 5, 6, 7} {
			queue[i].wantWaiting()
			held[0].release()
			held[0] = queue[i]
			held[0].wantServed()
		}
		held[0].release()
		for _, cancel := range cancels {
			cancel()
		}
	})
}

func TestGateWaitEndsExactly(t *testing.T) {
	const own = 1234567891 * time.Nanosecond
	tests := map[string]struct {
		deadline time.Duration // of the caller; 0 for none
		want     time.Duration
	}{
		"pool_timeout":                   {0, 30 * time.Second},
		"its own":                        {own, own},
		"pool_timeout before its own":    {time.Minute, 30 * time.Second},
		"its own a nanosecond before it": {30*time.Second - 1, 30*time.Second - 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inRig(t, 1, func(t *testing.T, r *rig) {
				held := r.fill(1)
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				v := r.ask(ctx)
				<-v.done
				v.wantError(ErrTimeout)
				if v.waited != tt.want {
					t.Errorf("waited %s, want %s", v.waited, tt.want)
				}
				releaseAll(held)
				if s := r.figures(); s.TimedOut != 1 || s.WaitDuration != tt.want || s.Waited != 0 {
					t.Errorf("timed out %d, waited %s", s.TimedOut, s.WaitDuration)
				}
			})
		})
	}
}

func TestGateServesUntilTheLastNanosecond(t *testing.T) {
	for _, early := range []time.Duration{1, 0} {
		inRig(t, 1, func(t *testing.T, r *rig) {
			held := r.fill(1)
			v := r.ask(t.Context())
			time.Sleep(r.timeout - early)
			held[0].release()
			if early > 0 {
				v.wantServed()
				v.release()
			} else {
				v.wantError(ErrTimeout)
			}
		})
	}
}

func TestGateRefusesAnEndedContext(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		v := r.ask(ctx)
		v.wantError(context.Canceled)
		if s := r.figures(); s.Acquired+s.Canceled != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestGateBoundsTheQueue(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		held := r.fill(1)
		queue := []*visit{r.ask(t.Context()), r.ask(inLane(t.Context(), Background))}
		for _, lane := range []Lane{Request, Background} {
			v := r.ask(inLane(t.Context(), lane))
			e := v.wantError(ErrOverloaded)
			if v.waited != 0 || !e.Full {
				t.Errorf("lane %d: refused after %s, queue full %v", lane, v.waited, e.Full)
			}
		}
		probe := r.ask(inLane(t.Context(), Probe))
		probe.wantWaiting()
		if s := r.figures(); s.Waiting != 3 || s.Shed != 2 {
			t.Errorf("waiting %d, shed %d", s.Waiting, s.Shed)
		}
		releaseAll(append(held, probe, queue[0], queue[1]))
	}, func(o *Options, _ *rig) { o.MaxWaiters = 1 }) // in each lane
}

func TestGateCloseWakesEverybody(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		held := r.fill(2)
		var queue []*visit
		for _, lane := range []Lane{Probe, Request, Background} {
			queue = append(queue, r.ask(inLane(t.Context(), lane)))
		}
		time.Sleep(time.Second)
		r.Close()
		for _, v := range append(queue, r.ask(t.Context())) {
			v.wantError(ErrClosed)
		}
		if queue[0].waited != time.Second {
			t.Errorf("waited %s", queue[0].waited)
		}
		released := r.WhenReleased()
		held[0].release()
		select {
		case <-released:
			t.Error("one still holds a connection")
		default:
		}
		held[1].release()
		<-released
		if s := r.figures(); s.WaitDuration != 3*time.Second {
			t.Errorf("waited %s", s.WaitDuration)
		}
	})
}

func TestResizeMovesTheLimitUnderLoad(t *testing.T) {
	inRig(t, 4, func(t *testing.T, r *rig) {
		held := r.fill(4)
		var queue []*visit
		for range 4 {
			queue = append(queue, r.ask(t.Context()))
		}
		r.Resize(2, 2)
		if s := r.figures(); s.Limit != 2 || s.InUse != 4 || s.Waiting != 4 {
			t.Errorf("shrunk: %+v", s)
		}
		held[0].release()
		held[1].release()
		queue[0].wantWaiting() // two are still held
		held[2].release()
		queue[0].wantServed()
		queue[1].wantWaiting()
		r.Resize(4, 4)
		r.setConns(4)
		synctest.Wait()
		queue[2].wantServed()
		queue[3].wantWaiting()
		releaseAll(append(held[3:], queue...))
		if s := r.figures(); s.Acquired != 8 {
			t.Errorf("%d of 8 served", s.Acquired)
		}
	})
}

func TestShareLowersTheLimit(t *testing.T) {
	inRig(t, 4, func(t *testing.T, r *rig) {
		for _, tt := range []struct{ share, want int }{{3, 3}, {9, 4}, {0, 0}, {1, 1}} {
			r.SetShare(tt.share)
			if limit := r.Limit(); limit != tt.want {
				t.Errorf("share %d: limit %d, want %d", tt.share, limit, tt.want)
			}
		}
		r.Resize(2, 3) // the share stays
		if s := r.figures(); s.Limit != 1 || s.PoolSize != 2 || s.Configured != 3 {
			t.Errorf("%+v", s)
		}
		held := r.fill(1)
		v := r.ask(t.Context())
		v.wantWaiting()
		r.SetShare(2)
		v.wantServed()
		releaseAll(append(held, v))
	})
}

func TestLostConnectionIsPromisedToNobody(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		held := r.fill(2)
		next := r.ask(t.Context())
		r.Release(held[0].k, time.Now(), connstate.CloseBroken)
		next.wantWaiting()
		if s := r.figures(); s.InUse != 1 || s.Idle != 0 {
			t.Errorf("in use %d, idle %d", s.InUse, s.Idle)
		}
		r.setConns(2)
		next.wantServed()
		releaseAll([]*visit{held[1], next})
	})
}

func TestHoldersAreListedOldestFirst(t *testing.T) {
	inRig(t, 3, func(t *testing.T, r *rig) {
		var held []*visit
		for range 3 {
			held = append(held, r.ask(t.Context()))
			time.Sleep(time.Second)
		}
		held[1].release()
		h := r.Oldest(0)
		if len(h) != 2 || h[0].P != held[0].k || time.Since(h[0].Since) != 3*time.Second || h[1].P != held[2].k || time.Since(h[1].Since) != time.Second {
			t.Errorf("%v", h)
		}
		if one := r.Oldest(1); len(one) != 1 || one[0].P != held[0].k {
			t.Errorf("%v", one)
		}
		releaseAll([]*visit{held[0], held[2]})
		if h := r.Oldest(0); len(h) != 0 {
			t.Errorf("%v", h)
		}
	})
}

// TestAgainKeepsThePlace has a connection die before its holder did anything: the
// holder waits before everybody who asked after it, and is counted once.
func TestAgainKeepsThePlace(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		held := r.fill(2)
		late := r.ask(t.Context())
		late.wantWaiting()
		var order []int
		for _, i := range []int{1, 0} { // the later one loses its connection first
			v := held[i]
			r.Lose(v.k, connstate.CloseBroken)
			go func() {
				if err := r.await(t.Context(), v.k, r.Again(v.k, time.Now())); err != nil {
					t.Error(err)
				}
				order = append(order, i)
				r.leave(v.k)
			}()
			synctest.Wait()
		}
		if s := r.figures(); s.Waiting != 3 || s.InUse != 0 {
			t.Errorf("%d wait, %d in use", s.Waiting, s.InUse)
		}
		r.setConns(1)
		synctest.Wait()
		if len(order) != 2 || order[0] != 0 {
			t.Errorf("served in the order %v", order)
		}
		late.wantServed()
		late.release()
		if s := r.figures(); s.Acquired != 3 || s.Hold.Count != 3 {
			t.Errorf("%d acquired, %d released", s.Acquired, s.Hold.Count)
		}
	})
}

// TestAgainKeepsThePatience counts both waits together.
func TestAgainKeepsThePatience(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		held := r.fill(1)
		v := r.ask(t.Context())
		time.Sleep(20 * time.Second)
		held[0].release()
		v.wantServed()
		r.Lose(v.k, connstate.CloseBroken)
		if err := r.await(t.Context(), v.k, r.Again(v.k, time.Now())); err != ErrTimeout {
			t.Error(err)
		}
		if took := time.Since(v.asked); took != r.timeout {
			t.Errorf("gave up after %s", took)
		}
		if s := r.figures(); s.TimedOut != 1 || s.WaitDuration != r.timeout {
			t.Errorf("%d timed out, waited %s", s.TimedOut, s.WaitDuration)
		}
		r.setConns(1)
	})
}

// TestSlotIsFreeWhenItsSocketsAre counts a connection that was given up until the
// server has closed what was opened for it.
func TestSlotIsFreeWhenItsSocketsAre(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		r.setConns(0)
		s := r.Reserve()
		if s == nil || r.Reserve() != nil {
			t.Fatal("the limit of one is not kept")
		}
		first, freed := s.SocketOpens(1), 0
		s.OnFree = func() { freed++ }
		second := s.SocketOpens(2)
		r.Dialed(s, time.Now())
		r.Lost(s)
		for _, socket := range []*Socket{first, second} {
			if f := r.figures(); f.Closing != 1 || f.Idle != 0 {
				t.Errorf("%d closing, %d idle", f.Closing, f.Idle)
			}
			socket.Ended()
		}
		for _, tell := range r.TakeFreed() {
			tell()
		}
		if f := r.figures(); f.Closing != 0 || freed != 1 {
			t.Errorf("%d closing, told %d times", f.Closing, freed)
		}
	})
}

// TestSplit counts a session that may exist at one address apart from the dial
// that goes on at another, where the limit has room for both.
func TestSplit(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		r.setConns(0)
		s := r.Reserve()
		lost := s.SocketOpens(1)
		if s.Split() {
			t.Error("there is no room for two")
		}
		r.Resize(2, 2)
		if !s.Split() {
			t.Error("there is room for two")
		}
		second := s.SocketOpens(2)
		if f := r.figures(); f.Dialing != 1 || f.Closing != 1 {
			t.Errorf("%d dialing, %d closing", f.Dialing, f.Closing)
		}
		lost.Ended()
		if f := r.figures(); f.Dialing != 1 || f.Closing != 0 {
			t.Errorf("%d dialing, %d closing", f.Dialing, f.Closing)
		}
		second.Ended()
		r.Abandon(s)
	})
}

// TestPacedFailure has a refusal that says itself when to try again.
func TestPacedFailure(t *testing.T) {
	for _, paced := range []bool{false, true} {
		inRig(t, 1, func(t *testing.T, r *rig) {
			r.setConns(0)
			r.DialFailed(r.Reserve(), Failure{Err: errors.New("no"), At: time.Now(), Reason: "full", Paced: paced}, time.Now())
			r.mu.Lock()
			defer r.mu.Unlock()
			if waits := time.Now().Before(r.dials.retryAt); waits == paced {
				t.Errorf("paced %v: waits %v", paced, waits)
			}
		})
	}
}

// TestPlaces has connections go home and come back, and never counts one twice.
func TestPlaces(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		all := func(*Slot) bool { return true }
		never := func(*Slot, time.Time) bool { return false }
		time.Sleep(RestAfter)
		now := time.Now()
		a := r.ClaimRested(now, never, true)
		r.WentHome(a, now)
		b := r.ClaimRested(now, never, true)
		if r.Claim(all) != nil || r.AtHome() != 1 {
			t.Errorf("%d at home", r.AtHome())
		}
		held := r.fill(1) // fetches a
		if held[0].k.Slot != nil {
			t.Fatal("granted one that housekeeping has")
		}
		r.Fetched(held[0].k, b) // which came out in its place, before it was noted that it went in
		r.WentHome(b, now)
		if f := r.figures(); f.InUse != 1 || f.Idle != 1 || r.AtHome() != 1 {
			t.Errorf("%d in use, %d idle, %d at home", f.InUse, f.Idle, r.AtHome())
		}
		second := r.fill(1)
		r.Lost(a) // its owner closed it for its age
		r.Fetched(second[0].k, nil)
		if f := r.figures(); f.InUse != 1 || f.Waiting != 1 || f.Idle != 0 {
			t.Errorf("%d in use, %d waiting, %d idle", f.InUse, f.Waiting, f.Idle)
		}
		releaseAll(append(held, second...))
	})
}
