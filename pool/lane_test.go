package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// inLane returns ctx for lane l.
func inLane(t *testing.T, l Lane) context.Context { return ContextWithLane(t.Context(), l) }

func TestBackgroundLeavesHalfToRequests(t *testing.T) {
	for _, tt := range []struct{ size, want int }{{1, 1}, {2, 1}, {3, 1}, {10, 5}} {
		inRig(t, tt.size, func(t *testing.T, r *rig) {
			var tasks, requests []*visit
			for range tt.size + 2 {
				tasks = append(tasks, r.ask(inLane(t, LaneBackground)))
			}
			if got := r.Stats().Lanes[LaneBackground]; got.InUse != tt.want || got.Waiting != tt.size+2-tt.want {
				t.Errorf("size %d: %+v, want %d in use", tt.size, got, tt.want)
			}
			for range tt.size - tt.want { // idle connections are for requests
				requests = append(requests, r.ask(t.Context()))
				requests[len(requests)-1].wantServed()
			}
			releaseAll(append(requests, tasks...))
		})
	}
}

func TestBackgroundHasItsTurn(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		lanes := make(chan Lane, 100)
		worker := func(l Lane) {
			for range 20 {
				k, err := r.enter(inLane(t, l))
				if err != nil {
					t.Error(err)
					return
				}
				lanes <- l
				time.Sleep(time.Millisecond)
				r.leave(k)
			}
		}
		for range 4 {
			go worker(LaneRequest)
		}
		go worker(LaneBackground)
		synctest.Wait()
		for range 2 { // started on idle connections
			<-lanes
		}
		served := 0
		for range 50 {
			if <-lanes == LaneBackground {
				served++
			}
		}
		if served != 10 { // one in five
			t.Errorf("%d of 50 turns", served)
		}
		for range 100 - 52 {
			<-lanes
		}
		time.Sleep(time.Second)
	})
}

func TestRequestsGoFirstButForEveryFifth(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		held := r.fill(1)
		tasks := []*visit{r.ask(inLane(t, LaneBackground)), r.ask(inLane(t, LaneBackground))}
		var requests []*visit
		for range 9 {
			requests = append(requests, r.ask(t.Context()))
		}
		// The connection that was just taken counts as the first request.
		want := []*visit{requests[0], requests[1], requests[2], tasks[0], requests[3], requests[4], requests[5], requests[6], tasks[1], requests[7], requests[8]}
		for i, v := range want {
			v.wantWaiting()
			held[0].release()
			if !v.decided() {
				t.Fatalf("turn %d went to another", i)
			}
			held[0] = v
		}
		held[0].release()
	})
}

func TestProbesGoFirstOneAtATime(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		held := r.fill(2)
		request := r.ask(t.Context())
		probes := []*visit{r.ask(inLane(t, LaneProbe)), r.ask(inLane(t, LaneProbe))}
		held[0].release()
		probes[0].wantServed()
		held[1].release()
		probes[1].wantWaiting() // one at a time: the next connection is for work
		request.wantServed()
		probes[0].release()
		probes[1].wantServed()
		releaseAll([]*visit{probes[1], request})
	})
}

func TestProbesAreNeverRefused(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		r.hold(time.Second)
		held, queue := r.fill(1), []*visit{r.ask(t.Context())}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		r.ask(ctx).wantError(ErrOverloaded)
		probe := r.ask(ContextWithLane(ctx, LaneProbe))
		probe.wantWaiting()
		time.Sleep(time.Millisecond - 1)
		held[0].release()
		probe.wantServed()
		releaseAll(append(queue, probe))
	}, func(c *config.Config) { c.MaxWaiters = 1 })
}

func TestLaneNames(t *testing.T) {
	for l, want := range map[Lane]string{LaneProbe: "probe", LaneRequest: "request", LaneBackground: "background", laneCount: "request"} {
		if l.String() != want {
			t.Errorf("%d is %s", l, l)
		}
	}
	if got := laneOf(ContextWithLane(t.Context(), laneCount)); got != LaneRequest {
		t.Errorf("a lane that does not exist is %s", got)
	}
}
