package pool

import (
	"fmt"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

func TestRoutesAreCountedByName(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		named := func(name string) *visit { return r.ask(ContextWithName(t.Context(), name)) }
		report := named("GET /report")
		waiting := named("GET /orders")
		waiting.wantWaiting()
		named("GET /orders").wantError(ErrOverloaded) // the queue takes one
		r.ask(inLane(t, LaneProbe))
		want(t, r.Routes(), "GET /orders 0 in use 1 waiting 0 acquired 0 late 1 shed", "GET /report 1 in use 0 waiting 1 acquired 0 late 0 shed")
		time.Sleep(2 * time.Second)
		waiting.wantError(ErrPoolTimeout)
		time.Sleep(3 * time.Second)
		r.leave(report.k)
		want(t, r.Routes(), "GET /report 0 in use 0 waiting 1 acquired 0 late 0 shed", "GET /orders 0 in use 0 waiting 0 acquired 1 late 1 shed")
		if held := r.Routes()[0].Hold; held.Count != 1 || held.Sum != 5*time.Second || held.Quantile(0.95) != 5*time.Second {
			t.Errorf("held %+v", held)
		}
	}, func(c *config.Config) { c.PoolTimeout, c.MaxWaiters = 2*time.Second, 1 })
}

// A service may put anything into a name.
func TestRoutesAreBounded(t *testing.T) {
	inRig(t, 1, func(t *testing.T, r *rig) {
		for i := range mostRoutes + 50 {
			v := r.ask(ContextWithName(t.Context(), fmt.Sprint("report ", i)))
			v.wantServed()
			r.leave(v.k)
		}
		all := r.Routes()
		if len(all) != mostRoutes+1 || all[0].Name != "" || all[0].AcquireCount != 50 || all[0].InUse != 0 {
			t.Errorf("%d names, the first %+v", len(all), all[0])
		}
	})
}

func want(t *testing.T, got []RouteStats, lines ...string) {
	t.Helper()
	for i, r := range got {
		line := fmt.Sprintf("%s %d in use %d waiting %d acquired %d late %d shed", r.Name, r.InUse, r.Waiting, r.AcquireCount, r.TimeoutCount, r.ShedCount)
		if i >= len(lines) || line != lines[i] {
			t.Errorf("line %d: %s", i, line)
		}
	}
	if len(got) != len(lines) {
		t.Errorf("%d names, want %d", len(got), len(lines))
	}
}
