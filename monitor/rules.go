package monitor

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

func (w *watch) watchUsage(n *notices, l look) {
	s := &l.stats
	t := w.usage.update(l.at, s.Usage(), l.cfg.MaxConnectionWarnings, l.usage, l.wrong.Verdict != "")
	if t.IsNothing() {
		return
	}
	attrs := []any{"in_use", s.InUse, "max_open", s.MaxOpen(), "usage_percent", round(s.Usage()), "threshold_percent", l.cfg.MaxConnectionWarnings, "waiting", s.Waiting}
	if !w.usage.on {
		n.went(t, statusjson.EventUsageNormal, "", "pool usage normal", fmt.Sprintf("pool usage is back to %.0f %%: %s in use", s.Usage(), ofThose(s)), attrs...)
		return
	}
	attrs = append(attrs, "at_threshold", w.usage.lately())
	if len(l.oldest) > 0 {
		attrs = append(attrs, "longest_held", l.oldest[0].String())
	}
	n.came(t, slog.LevelWarn, statusjson.EventUsageHigh, "", "pool usage high",
		fmt.Sprintf("pool usage is %.0f %%: %s in use, %s waiting (threshold %d %%)",
			s.Usage(), ofThose(s), count(uint64(s.Waiting), "caller", "callers"), l.cfg.MaxConnectionWarnings), attrs...)
}

func (w *watch) watchServerUsage(n *notices, l look) {
	v := l.view
	if v == nil {
		return
	}
	t := w.serverUsage.update(l.at, v.UsagePercent, l.cfg.MaxConnectionWarnings)
	if t.IsNothing() {
		return
	}
	attrs := []any{"sessions", v.Sessions, "usable", v.Usable, "free", v.Free, "bound_by", string(v.BoundBy),
		"usage_percent", round(v.UsagePercent), "threshold_percent", l.cfg.MaxConnectionWarnings}
	room := "room for " + count(uint64(v.Free), "more session", "more sessions")
	if !w.serverUsage.on {
		n.went(t, statusjson.EventServerUsageNormal, "", "server usage normal", fmt.Sprintf("the server is back to %.0f %% of what this role may use: %s", v.UsagePercent, room), attrs...)
		return
	}
	n.came(t, slog.LevelWarn, statusjson.EventServerUsageHigh, "", "server usage high",
		fmt.Sprintf("the server is at %.0f %% of what this role may use (limit of the %s): %s (threshold %d %%)", v.UsagePercent, v.BoundBy, room, l.cfg.MaxConnectionWarnings), attrs...)
}

// watchAccess notes when the server stops and starts granting connections. The
// pool itself logs that.
func (w *watch) watchAccess(n *notices, s *pool.Stats) {
	refused := refuses(s)
	if refused == w.refused {
		return
	}
	w.refused = refused
	open := count(uint64(s.Open()), "connection is open", "connections are open")
	switch {
	case !refused:
		n.note(statusjson.EventServerGrants, statusjson.SeverityInfo, "the server grants new connections again")
	case s.Server.Reason.NoCapacity():
		n.note(statusjson.EventServerFull, statusjson.SeverityWarning, fmt.Sprintf("the server has no room for new connections (%s); %s", s.Server.Reason, open))
	default:
		n.note(statusjson.EventServerRefuses, statusjson.SeverityWarning, fmt.Sprintf("no new connection can be opened (%s); %s", s.Server.Reason, open))
	}
}

// watchTurnedAway notes when callers begin to leave without a connection, and
// when that is over.
func (w *watch) watchTurnedAway(n *notices, l look) {
	s := &l.stats
	late, shed := s.TimeoutCount-w.last.TimeoutCount, s.ShedCount-w.last.ShedCount
	began, ended := w.turnedAway.update(n.at, late+shed)
	if began {
		w.timedOut, w.shed = 0, 0
	}
	if late+shed > 0 {
		w.turnedAway.served = s.AcquireCount
	}
	w.timedOut += late
	w.shed += shed
	nobodyServed := s.AcquireCount == w.turnedAway.served
	if ended && nobodyServed && (refuses(s) || s.Waiting > 0) {
		w.turnedAway.on = true // nobody has asked, and would not be served
	}
	t := w.turnedAway.told.Look(n.at, w.turnedAway.on)
	if t.IsNothing() {
		return
	}
	attrs := []any{"timed_out", w.timedOut, "shed", w.shed, "in_use", s.InUse, "limit", s.Limit, "waiting", s.Waiting}
	if l.hog.Name != "" {
		attrs = append(attrs, "most_held_by", l.hog.Name, "held_by_it", l.hog.InUse)
	}
	if w.diagnosed.now.Verdict != "" {
		attrs = append(attrs, "diagnosis", w.diagnosed.now.Sentence)
	}
	switch {
	case w.turnedAway.on && w.timedOut > 0:
		n.came(t, slog.LevelWarn, statusjson.EventTimeouts, "", "callers time out waiting for a connection", fmt.Sprintf("callers time out waiting for a connection (%d of %d in use, %d waiting)", s.InUse, s.Limit, s.Waiting), attrs...)
	case w.turnedAway.on:
		n.came(t, slog.LevelWarn, statusjson.EventShedding, "", "callers are refused at once", fmt.Sprintf("callers are refused at once, as they would wait in vain (%d of %d in use, %d waiting)", s.InUse, s.Limit, s.Waiting), attrs...)
	default:
		lasted, words := short(w.turnedAway.last.Sub(w.turnedAway.since)), "callers are served again"
		if nobodyServed {
			words = "no caller is turned away any more, and none has asked since"
		}
		n.went(t, statusjson.EventPressureOver, "", words, words+fmt.Sprintf("; within %s %d timed out and %d were refused", lasted, w.timedOut, w.shed), attrs...)
	}
}

// watchRecycling notes when many connections are replaced within ten checks:
// ordinary recycling trickles.
func (w *watch) watchRecycling(n *notices, s *pool.Stats) {
	w.replaced[w.checks%len(w.replaced)] = s.Closed.Recycled - w.last.Closed.Recycled
	w.checks++
	sum := uint64(0)
	for _, r := range w.replaced {
		sum += r
	}
	storm := sum >= max(3, uint64(s.Limit+1)/2)
	rise := uint64(0)
	if storm {
		rise = sum
	}
	if began, _ := w.recycled.update(n.at, rise); began {
		n.note(statusjson.EventRecycled, statusjson.SeverityInfo, fmt.Sprintf("%d connections were replaced within %s", sum, checkInterval*time.Duration(len(w.replaced))))
	}
}

// watchSize notes a resize, and a limit that was lowered or raised again.
func (w *watch) watchSize(n *notices, s *pool.Stats) {
	l := w.last
	switch {
	case s.PoolSize != l.PoolSize || s.MaxOverflow != l.MaxOverflow:
		n.note(statusjson.EventResized, statusjson.SeverityInfo, fmt.Sprintf("resized from %d + %d to %d + %d connections", l.PoolSize, l.MaxOverflow, s.PoolSize, s.MaxOverflow))
	case s.Limit != l.Limit:
		n.note(statusjson.EventResized, statusjson.SeverityInfo, fmt.Sprintf("the limit went from %d to %d of %d connections", l.Limit, s.Limit, s.MaxOpen()))
	}
}

// watchLeaks notes connections held for too long. The pool itself logs them.
func (w *watch) watchLeaks(n *notices, l look) {
	s := &l.stats
	if s.LeakWarningCount > w.last.LeakWarningCount && s.Leaking > 0 {
		n.note(statusjson.EventLeak, statusjson.SeverityWarning, leakMessage(l))
	}
	if s.Leaking == 0 && w.last.Leaking > 0 {
		n.note(statusjson.EventLeakCleared, statusjson.SeverityInfo, "no connection is held beyond the leak threshold any more")
	}
}

func leakMessage(l look) string {
	message := count(uint64(l.stats.Leaking), "connection is", "connections are") + " held for too long"
	if len(l.oldest) > 0 {
		message += "; the longest for " + l.oldest[0].String()
	}
	return message
}

// refuses reports whether the pool knows that no new connection can be had.
func refuses(s *pool.Stats) bool { return !s.Server.OK && s.Server.Reason != "" }
