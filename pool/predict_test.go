package pool

import (
	"context"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// within returns a context with a deadline in d.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestHopelessCallersAreRefusedAtOnce(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		r.hold(time.Second)
		held := r.fill(1)
		queue := []*visit{r.ask(t.Context()), r.ask(within(t, time.Minute))}
		late := r.ask(within(t, 4500*time.Millisecond-1)) // 3 s in the queue, and 1.5 s for the work
		e := late.wantError(ErrOverloaded)
		if late.waited != 0 || e.PredictedWait != 3*time.Second || e.RetryAfter() != 3*time.Second || e.QueueFull {
			t.Errorf("after %s: predicted %s, retry after %s", late.waited, e.PredictedWait, e.RetryAfter())
		}
		if e.Verdict != VerdictSmall || e.Stats.Waiting != 2 || e.Stats.ShedCount != 1 {
			t.Errorf("%+v", e)
		}
		queue = append(queue, r.ask(within(t, 4500*time.Millisecond)), r.ask(t.Context()))
		releaseAll(append(held, queue...))
		if s := r.Stats(); s.ShedCount != 1 {
			t.Errorf("shed %d", s.ShedCount)
		}
	})
}

func TestPoolTimeoutIsADeadlineForTheWaitAlone(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		r.hold(time.Second)
		held := r.fill(1)
		queue := []*visit{r.ask(t.Context()), r.ask(t.Context())}
		e := r.ask(t.Context()).wantError(ErrOverloaded) // the fourth second
		if e.PredictedWait != 3*time.Second {
			t.Errorf("predicted %s", e.PredictedWait)
		}
		releaseAll(append(held, queue...))
	}, func(c *config.Config) { c.PoolTimeout = 2 * time.Second })
}

func TestWorkIsCheckedAgainWhenItIsServed(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		r.hold(time.Second)
		held := r.fill(1)
		short, long := r.ask(within(t, 3*time.Second)), r.ask(t.Context())
		short.wantWaiting()
		time.Sleep(2*time.Second + 1) // longer than expected
		held[0].release()
		e := short.wantError(ErrOverloaded)
		if short.waited != 2*time.Second+1 || e.Waited != short.waited || e.PredictedWait != short.waited {
			t.Errorf("%s, %s, %s", short.waited, e.Waited, e.PredictedWait)
		}
		long.wantServed()
		long.release()
		if s := r.Stats(); s.ShedCount != 1 || s.TimeoutCount != 0 || s.WaitDuration != 2*short.waited {
			t.Errorf("%+v", s)
		}
	})
}

func TestLateWorkIsServedWhenNobodyElseWaits(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		r.hold(time.Second)
		held := r.fill(1)
		alone := r.ask(within(t, 3*time.Second))
		time.Sleep(3*time.Second - 1)
		held[0].release()
		alone.wantServed()
		alone.release()
	})
}

func TestIdlePoolServesWhateverWasBefore(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		r.hold(time.Hour)
		v := r.ask(within(t, 1))
		v.wantServed()
		v.release()

		time.Sleep(10*time.Second + 1) // and what comes back no more is not believed for long
		held := r.fill(2)
		queue := []*visit{r.ask(within(t, time.Second)), r.ask(within(t, time.Second))}
		for _, v := range queue {
			v.wantWaiting()
		}
		releaseAll(append(held, queue...))
	})
}

func TestNobodyIsRefusedWhileAConnectionIsOpened(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		r.hold(time.Hour)
		setConns(t, r.gate, 0)
		queue := []*visit{r.ask(within(t, time.Second)), r.ask(within(t, time.Second))}
		for _, v := range queue {
			v.wantWaiting()
		}
		r.ask(within(t, time.Second)).wantError(ErrOverloaded)
		setConns(t, r.gate, 2)
		releaseAll(queue)
	})
}

func TestStallIsSeenAtOnce(t *testing.T) {
	inRig(t, 10, func(t *testing.T, r *rig) {
		for range 20 {
			r.hold(time.Millisecond)
		}
		held := r.fill(10)
		queue := []*visit{r.ask(t.Context())}
		time.Sleep(time.Second)
		// Ten connections gave nothing back for a second: 100 ms each at best.
		queue = append(queue, r.ask(within(t, 250*time.Millisecond)))
		queue[1].wantWaiting()
		e := r.ask(within(t, 250*time.Millisecond)).wantError(ErrOverloaded)
		if got := e.PredictedWait.Round(time.Millisecond); got != 300*time.Millisecond {
			t.Errorf("predicted %s", got)
		}
		releaseAll(append(held, queue...))
	})
}

// Three reports hold connections for a minute while other requests take 5 ms:
// a burst of these is served, although a look at the average hold would refuse it.
func TestLongHoldersDoNotMakeABurstHopeless(t *testing.T) {
	inRig(t, 10, func(t *testing.T, r *rig) {
		for range 3 {
			go r.hold(time.Minute)
		}
		for range 50 {
			r.hold(5 * time.Millisecond)
			time.Sleep(100 * time.Millisecond)
		}
		burst := make([]*visit, 100)
		for i := range burst {
			burst[i] = r.ask(within(t, 200*time.Millisecond))
			go func() {
				if <-burst[i].done; burst[i].err == nil {
					time.Sleep(5 * time.Millisecond)
					r.leave(burst[i].k)
				}
			}()
		}
		time.Sleep(200 * time.Millisecond)
		for _, v := range burst {
			if <-v.done; v.err != nil {
				t.Fatal(v.err)
			}
		}
		time.Sleep(time.Minute)
	})
}

// While background tasks hold their half for long, requests are predicted from
// their own half.
func TestBackgroundDoesNotCountForRequests(t *testing.T) {
	inRig(t, 4, func(t *testing.T, r *rig) {
		var tasks []*visit
		for range 2 {
			tasks = append(tasks, r.ask(inLane(t, LaneBackground)))
		}
		time.Sleep(time.Hour)
		r.hold(time.Second)
		held := r.fill(2)
		queue := []*visit{r.ask(t.Context())}
		e := r.ask(within(t, time.Second)).wantError(ErrOverloaded)
		if e.PredictedWait != time.Second { // two ahead, counting itself, on two connections
			t.Errorf("predicted %s", e.PredictedWait)
		}
		releaseAll(append(append(held, queue...), tasks...))
	})
}
