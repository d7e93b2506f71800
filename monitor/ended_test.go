package monitor

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// Connections that are ended again and again are one event with a count and one
// line of the log, each cause by itself.
func TestEndedIsToldOnceForEachCause(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		for range 15 { // an hour
			r.src.Set(func(s *pool.Stats) { s.Ended.IdleSession += 2 })
			tick()
			r.src.Set(func(s *pool.Stats) { s.Ended.IdleSession++ }) // of the same burst
			time.Sleep(4 * time.Minute)
		}
		r.src.Set(func(s *pool.Stats) { s.Ended.Terminated += 9 })
		time.Sleep(6 * time.Second)
		synctest.Wait()
		wantKinds(t, r.Monitor, statusjson.EventBroken, statusjson.EventBroken)
		events := r.Status().Events
		wantEnded(t, events[0], 0, "9 connections were ended by an administrator or by a shutdown of the server (57P01): look in the server's log for a shutdown; without one somebody called pg_terminate_backend")
		wantEnded(t, events[1], 15, "45 connections were ended by idle_session_timeout (57P05): set DB_POOL_RECYCLE to less than idle_session_timeout, or set that to 0 for this role")
		lines := r.log.with("level=WARN")
		if len(lines) != 2 || !strings.Contains(lines[0], `msg="connections were ended by idle_session_timeout (57P05)" pool=orders connections=3 cause="idle session" open=2 remedy=`) {
			t.Errorf("%q", lines)
		}
	})
}

// What goes on all day is in the log once an hour, with how often it came since.
func TestEndedAllDayIsToldEachHour(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		for range 3 * 16 { // three hours
			r.src.Set(func(s *pool.Stats) { s.Ended.IdleSession++ })
			time.Sleep(230 * time.Second)
		}
		synctest.Wait()
		lines := r.log.with("level=WARN")
		if len(lines) != 3 || strings.Contains(lines[0], "times=") || !strings.Contains(lines[1], "times=16") || !strings.Contains(lines[2], "times=16") {
			t.Errorf("%q", lines)
		}
	})
}

// A burst that goes on is told after a while, and what follows adds to it.
func TestLongBurstIsToldBeforeItEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		for range 8 {
			r.src.Set(func(s *pool.Stats) { s.Ended.Silent++ })
			tick()
		}
		wantEnded(t, r.Status().Events[0], 0, "6 connections were closed without an error message: a crash, a failover, or a proxy or firewall between here and the server: look in their logs")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantEnded(t, r.Status().Events[0], 2, "8 connections were closed without an error message: a crash, a failover, or a proxy or firewall between here and the server: look in their logs")
	})
}

// Every cause that the pool counts has words of its own.
func TestEveryCauseHasWords(t *testing.T) {
	seen := map[string]string{}
	for cause := range (pool.EndedStats{}).All() {
		words, remedy := endedBy(cause)
		if other := seen[words]; other != "" || remedy == "" {
			t.Errorf("%q and %q: %q, remedy %q", cause, other, words, remedy)
		}
		seen[words] = cause
	}
}

func wantEnded(t *testing.T, e statusjson.Event, times uint64, message string) {
	t.Helper()
	if e.Kind != statusjson.EventBroken || e.Message != message || uint64(e.Count) != times {
		t.Errorf("%s ×%d: %s\nwant ×%d: %s", e.Kind, e.Count, e.Message, times, message)
	}
}
