package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
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
		if s := r.Stats(); s.AcquireCount != 53 || s.WaitCount != 50 {
			t.Errorf("acquired %d, waited %d", s.AcquireCount, s.WaitCount)
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
		if s := r.Stats(); s.Waiting != 5 || s.AcquireCanceledCount != 4 || s.WaitDuration != 4*time.Second {
			t.Errorf("waiting %d, canceled %d, waited %s", s.Waiting, s.AcquireCanceledCount, s.WaitDuration)
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
				e := v.wantError(ErrPoolTimeout)
				if !errors.Is(v.err, context.DeadlineExceeded) || !e.Timeout() {
					t.Errorf("%v is no timeout", v.err)
				}
				if v.waited != tt.want || e.Waited != tt.want {
					t.Errorf("waited %s, says %s, want %s", v.waited, e.Waited, tt.want)
				}
				releaseAll(held)
				if s := r.Stats(); s.TimeoutCount != 1 || s.WaitDuration != tt.want || s.WaitCount != 0 {
					t.Errorf("timed out %d, waited %s", s.TimeoutCount, s.WaitDuration)
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
			time.Sleep(r.cfg.PoolTimeout - early)
			held[0].release()
			if early > 0 {
				v.wantServed()
				v.release()
			} else {
				v.wantError(ErrPoolTimeout)
			}
		})
	}
}

func TestGateRefusesAnEndedContext(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		v := r.ask(canceled(t.Context()))
		v.wantError(context.Canceled)
		if s := r.Stats(); s.AcquireCount+s.AcquireCanceledCount != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestGateBoundsTheQueue(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		held := r.fill(1)
		queue := []*visit{r.ask(t.Context()), r.ask(ContextWithLane(t.Context(), LaneBackground))}
		for _, lane := range []Lane{LaneRequest, LaneBackground} {
			v := r.ask(ContextWithLane(t.Context(), lane))
			e := v.wantError(ErrOverloaded)
			if v.waited != 0 || !e.QueueFull {
				t.Errorf("%s: refused after %s, queue full %v", lane, v.waited, e.QueueFull)
			}
		}
		probe := r.ask(ContextWithLane(t.Context(), LaneProbe))
		probe.wantWaiting()
		if s := r.Stats(); s.Waiting != 3 || s.ShedCount != 2 {
			t.Errorf("waiting %d, shed %d", s.Waiting, s.ShedCount)
		}
		releaseAll(append(held, probe, queue[0], queue[1]))
	}, func(c *config.Config) { c.MaxWaiters = 2 })
}

func TestGateCloseWakesEverybody(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		held := r.fill(2)
		var queue []*visit
		for _, lane := range []Lane{LaneProbe, LaneRequest, LaneBackground} {
			queue = append(queue, r.ask(ContextWithLane(t.Context(), lane)))
		}
		time.Sleep(time.Second)
		r.gate.close()
		for _, v := range append(queue, r.ask(t.Context())) {
			v.wantError(ErrClosed)
		}
		if queue[0].waited != time.Second {
			t.Errorf("waited %s", queue[0].waited)
		}
		released := r.gate.whenReleased()
		held[0].release()
		select {
		case <-released:
			t.Error("one still holds a connection")
		default:
		}
		held[1].release()
		<-released
		if s := r.Stats(); s.WaitDuration != 3*time.Second {
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
		r.gate.resize(2, 2)
		if s := r.Stats(); s.Limit != 2 || s.InUse != 4 || s.Waiting != 4 {
			t.Errorf("shrunk: %+v", s)
		}
		held[0].release()
		held[1].release()
		queue[0].wantWaiting() // two are still held
		held[2].release()
		queue[0].wantServed()
		queue[1].wantWaiting()
		r.gate.resize(4, 4)
		r.gate.setConns(4)
		synctest.Wait()
		queue[2].wantServed()
		queue[3].wantWaiting()
		releaseAll(append(held[3:], queue...))
		if s := r.Stats(); s.AcquireCount != 8 {
			t.Errorf("%d of 8 served", s.AcquireCount)
		}
	})
}

func TestShareLowersTheLimit(t *testing.T) {
	inRig(t, 4, func(t *testing.T, r *rig) {
		for _, tt := range []struct{ share, want int }{{3, 3}, {9, 4}, {0, 0}, {1, 1}} {
			r.gate.setShare(tt.share)
			if limit := r.gate.currentLimit(); limit != tt.want {
				t.Errorf("share %d: limit %d, want %d", tt.share, limit, tt.want)
			}
		}
		r.gate.resize(2, 3) // the share stays
		if s := r.Stats(); s.Limit != 1 || s.PoolSize != 2 || s.MaxOverflow != 1 {
			t.Errorf("%+v", s)
		}
		held := r.fill(1)
		v := r.ask(t.Context())
		v.wantWaiting()
		r.gate.setShare(2)
		v.wantServed()
		releaseAll(append(held, v))
	})
}

func TestLostConnectionIsPromisedToNobody(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		held := r.fill(2)
		next := r.ask(t.Context())
		r.leaveFor(held[0].k, closeBroken)
		next.wantWaiting()
		if s := r.Stats(); s.InUse != 1 || s.Idle != 0 {
			t.Errorf("in use %d, idle %d", s.InUse, s.Idle)
		}
		r.gate.setConns(2)
		next.wantServed()
		releaseAll([]*visit{held[1], next})
	})
}

func TestHoldersAreListedOldestFirst(t *testing.T) {
	inRig(t, 3, func(t *testing.T, r *rig) {
		var held []*visit
		for i := range 3 {
			ctx := ContextWithName(t.Context(), fmt.Sprint("task ", i))
			held = append(held, r.ask(ctx))
			time.Sleep(time.Second)
		}
		held[1].release()
		h := r.Holders(0)
		if len(h) != 2 || h[0].Name != "task 0" || h[0].Held != 3*time.Second || h[1].Name != "task 2" || h[1].Held != time.Second {
			t.Errorf("%v", h)
		}
		if one := r.Holders(1); len(one) != 1 || one[0].Name != "task 0" {
			t.Errorf("%v", one)
		}
		releaseAll([]*visit{held[0], held[2]})
		if h := r.Holders(0); len(h) != 0 {
			t.Errorf("%v", h)
		}
	})
}
