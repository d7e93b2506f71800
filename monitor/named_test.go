package monitor

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// used are figures of a name under which n connections were held for d each.
func used(f pool.RouteStats, n int, d time.Duration) pool.RouteStats {
	bucket := 0
	for _, bound := range pool.HistogramBounds() {
		if d <= bound {
			break
		}
		bucket++
	}
	for _, h := range []*pool.Histogram{&f.Hold, &f.Wait} {
		h.Counts[bucket] += uint64(n)
		h.Count += uint64(n)
		h.Sum += time.Duration(n) * d
	}
	f.AcquireCount += uint64(n)
	return f
}

// A route that was slow in the morning is not slow now.
func TestFiguresByNameAreThoseOfLately(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		report, orders := pool.RouteStats{Name: "GET /report"}, pool.RouteStats{Name: "GET /orders"}
		set := func() { r.src.Serve(report, orders); r.src.Ask(report, orders) }
		report = used(report, 1000, 20*time.Second)
		set()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		wantLately(t, r, "GET /report: 0 held for 0 of late, 30 in all", "GET /orders: 0 held for 0 of late, 0 in all")
		orders, report = used(orders, 100, 50*time.Millisecond), used(report, 1, 5*time.Millisecond)
		set()
		time.Sleep(time.Minute)
		synctest.Wait()
		wantLately(t, r, "GET /orders: 100 held for 0.05 of late, 0.05 in all", "GET /report: 1 held for 0.005 of late, 30 in all")
		report.InUse = 1 // what has a connection comes first
		set()
		wantLately(t, r, "GET /report: 1 held for 0.005 of late, 30 in all", "GET /orders: 100 held for 0.05 of late, 0.05 in all")
	})
}

func wantLately(t *testing.T, r running, want ...string) {
	t.Helper()
	st := r.Status()
	for _, list := range [][]statusjson.RouteFigures{st.Routes, st.Statements} {
		for i, f := range list {
			name := f.Name
			if strings.Contains(name, "#") { // a statement, of which no text is to be shown
				name = st.Routes[i].Name
			}
			line := fmt.Sprintf("%s: %d held for %v of late, %v in all", name, f.RecentCount, f.RecentHoldP95Seconds, f.HoldP95Seconds)
			if i >= len(want) || line != want[i] {
				t.Errorf("line %d: %s", i, line)
			}
			if f.RecentWaitP95Seconds != f.RecentHoldP95Seconds {
				t.Errorf("%s waited %v", f.Name, f.RecentWaitP95Seconds)
			}
		}
		if len(list) != len(want) {
			t.Errorf("%d names, want %d", len(list), len(want))
		}
	}
}

// The text of a statement shows only where the service asked for it.
func TestStatementsHideTheirText(t *testing.T) {
	const secret = "SELECT pin FROM vault WHERE owner = $1"
	inBubble(t, func(t *testing.T, r running) {
		r.src.Ask(pool.RouteStats{Name: secret, InUse: 1}, pool.RouteStats{Name: "select 1"}, pool.RouteStats{AcquireCount: 7})
		got := r.Status().Statements
		if len(got) != 3 || !strings.HasPrefix(got[0].Name, "select #") || got[0].Name == got[1].Name || got[2].Name != "" || got[2].AcquiredCount != 7 {
			t.Errorf("%+v", got)
		}
		shown := New(r.src, WithQueryText()).Status().Statements
		if shown[0].Name != secret || shown[0].InUse != 1 {
			t.Errorf("%+v", shown)
		}
		if body := get(r.PoolStatus(), "/debug/pool-status").Body.String(); strings.Contains(body, "vault") {
			t.Error(body)
		}
	})
}
