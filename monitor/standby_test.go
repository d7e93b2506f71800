package monitor

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// Reads that the primary serves for want of a standby degrade, and take nobody's
// traffic away.
func TestReadsWithoutAStandbyDegrade(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		if r.Status().Standby != nil {
			t.Error("there are standbys that nobody asked for")
		}
		began := time.Now()
		s := pool.StandbyStats{OK: true, Since: began, Budget: 10, Limit: 5, InUse: 1, Idle: 2, ReadCount: 7, WaitCount: 3, WaitDuration: 1500 * time.Millisecond}
		set := func(change func()) {
			change()
			now := s
			r.src.Set(func(p *pool.Stats) { p.Standby, p.Limit = &now, 9 })
			synctest.Wait()
		}
		set(func() {})
		wantHealth(t, r.Monitor, statusjson.Healthy)
		if f := r.Status().Standby; f == nil || !f.OK || f.Budget != 10 || f.Limit != 5 || f.CheckedOut != 1 || f.CheckedIn != 2 || f.ReadCount != 7 || f.WaitedCount != 3 || f.WaitTotalSeconds != 1.5 {
			t.Errorf("%+v", f)
		}
		set(func() { s.OK, s.Reason = false, "dial: 10.0.0.7: connection refused" })
		wantHealth(t, r.Monitor, statusjson.Degraded, statusjson.ProblemStandby)
		h := r.HealthReport()
		want := "no standby can be used, the primary serves reads with 9 of 10 connections; see DATABASE_READ_URL and the log"
		if h.Problems[0].Message != want || !h.Problems[0].Since.Equal(began) {
			t.Errorf("%+v", h.Problems)
		}
		if w := get(r.Health(), "/health"); w.Code != http.StatusOK {
			t.Errorf("/health answers %d", w.Code)
		}
		if f := r.Status().Standby; f.Reason != "" {
			t.Errorf("an address is shown: %s", f.Reason)
		}
		set(func() { s.OK, s.Behind = true, true })
		wantHealth(t, r.Monitor, statusjson.Degraded, statusjson.ProblemStandby)
		set(func() { s.Behind = false })
		wantHealth(t, r.Monitor, statusjson.Healthy)
	})
}
