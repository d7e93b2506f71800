package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// write makes every row of the report, in the order in which an operator asks:
// what is wrong, how full is it, who waits, what does the server say, who holds.
func (w *writer) write() {
	if w.report.Verdict.Level == Unreachable {
		return
	}
	w.diagnosis()
	w.problems()
	w.notes()
	if w.now == nil {
		w.healthOnly()
		return
	}
	w.pool()
	w.queue()
	w.lanes()
	w.tasks()
	w.connections()
	w.access()
	w.server()
	w.fleet()
	w.settings()
	w.holders()
	w.named("Routes", w.now.Routes)
	w.named("Statements", w.now.Statements)
	w.queries()
	w.events()
}

// diagnosis is why callers get no connection, in the pool's own words.
func (w *writer) diagnosis() {
	d, was := w.health.Diagnosis, (*statusjson.Diagnosis)(nil)
	if w.healthBefore != nil {
		was = w.healthBefore.Diagnosis
	}
	if verdictOf(d) != verdictOf(was) && w.healthBefore != nil {
		w.note("diagnosis", verdictOf(was), verdictOf(d))
	}
	if d != nil {
		w.endAt(max(w.report.Verdict.Level, Warning), "why", d.Sentence)
	}
	w.changed = false
}

func verdictOf(d *statusjson.Diagnosis) string {
	if d == nil {
		return ""
	}
	return d.Verdict
}

// isTold reports whether a problem says nothing but the diagnosis.
func isTold(h *statusjson.HealthReport, p statusjson.Problem) bool {
	return h.Diagnosis != nil && p.Message == h.Diagnosis.Sentence
}

func (w *writer) problems() {
	before := problemKeys(w.healthBefore)
	for _, p := range w.report.Verdict.Problems {
		if w.healthBefore != nil {
			w.fresh("problems", string(p.Code), before)
		}
		text := p.Message
		if isTold(w.health, p) {
			text = "callers get no connection: " + string(p.Code)
		}
		if d := since(w.health.At, p.Since); d > 0 {
			text += " (for " + Duration(d) + ")"
		}
		w.endAt(max(severity(p.Severity), Warning), label(severity(p.Severity)), text)
	}
	now := problemKeys(w.health)
	for _, code := range before {
		if !slices.Contains(now, code) {
			w.note("problems", code, nil)
			w.end("resolved", code)
		}
	}
}

func label(l Level) string {
	if l == Critical {
		return "critical"
	}
	return "warning"
}

func problemKeys(h *statusjson.HealthReport) []string {
	if h == nil {
		return nil
	}
	keys := make([]string, 0, len(h.Problems))
	for _, p := range h.Problems {
		keys = append(keys, string(p.Code))
	}
	return keys
}

func (w *writer) notes() {
	for _, n := range w.report.Snapshot.Notes {
		w.end("note", n)
	}
	if w.health.Monitoring == statusjson.MonitoringOff { // a monitor that should run and does not is a problem of its own
		w.end("note", "background monitoring is switched off: judged by the pool's own traffic")
	}
}

func orNone(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// healthOnly is all that /health tells.
func (w *writer) healthOnly() {
	h, b := w.health, w.healthBefore
	if b != nil && b.InUse != h.InUse {
		w.note("in_use", b.InUse, h.InUse)
	}
	w.end("Pool", fmt.Sprintf("%d of %d in use %s %s", h.InUse, h.MaxOpen, Bar(Share(h.InUse, h.MaxOpen), 20), Percent(h.UsagePercent)))
	if b != nil && b.Waiting != h.Waiting {
		w.note("waiting", b.Waiting, h.Waiting)
	}
	w.end("Callers", Count(h.Waiting)+" waiting")
	if h.Probe != nil {
		w.end("Probe", probe(*h.Probe))
	}
}

func probe(p statusjson.Probe) string {
	text := fmt.Sprintf("%s %s ago, took %s", p.Outcome, Seconds(p.AgeSeconds), Seconds(p.LatencySeconds))
	if p.ConsecutiveFailures > 0 {
		text += fmt.Sprintf("; %s in a row", Plural(p.ConsecutiveFailures, "failure", "failures"))
	}
	return some(": ", text, p.Reason)
}

func (w *writer) pool() {
	p := w.now.Pool
	inUse := w.num("pool.checked_out", func(s *statusjson.Status) int { return s.Pool.CheckedOut })
	most := w.num("pool.max_open", func(s *statusjson.Status) int { return s.Pool.MaxOpen })
	level := Healthy
	if p.OverThreshold {
		level = Warning
	}
	w.endAt(level, "Pool", fmt.Sprintf("%s of %s in use %s %s; warns at %d %%",
		inUse, most, Bar(Share(p.CheckedOut, p.MaxOpen), 20), Percent(p.UsagePercent), p.ThresholdPercent))
	w.end("", fmt.Sprintf("%s idle, %s dialing, %s closing%s; size %s + overflow %s, open beyond size: %s",
		w.num("pool.checked_in", func(s *statusjson.Status) int { return s.Pool.CheckedIn }),
		w.num("pool.dialing", func(s *statusjson.Status) int { return s.Pool.Dialing }),
		w.num("pool.closing", func(s *statusjson.Status) int { return s.Pool.Closing }),
		w.quarantined(),
		w.num("pool.size", func(s *statusjson.Status) int { return s.Pool.Size }),
		w.num("pool.max_overflow", func(s *statusjson.Status) int { return s.Pool.MaxOverflow }),
		w.num("pool.overflow", func(s *statusjson.Status) int { return s.Pool.Overflow })))
	limit := w.num("pool.limit", func(s *statusjson.Status) int { return s.Pool.Limit })
	if p.Limit < p.MaxOpen || w.changed {
		w.endAt(level, "", fmt.Sprintf("limit now %s of %d", limit, p.MaxOpen))
	}
}

func (w *writer) quarantined() string {
	if w.now.Pool.Quarantined == 0 && (w.was == nil || w.was.Pool.Quarantined == 0) {
		return ""
	}
	return " (" + w.num("pool.quarantined", func(s *statusjson.Status) int { return s.Pool.Quarantined }) + " overdue)"
}

func (w *writer) queue() {
	waiting := w.num("queue.waiting", func(s *statusjson.Status) int { return s.Queue.Waiting })
	w.end("Callers", some("; ", waiting+" waiting", w.recent()))
	w.end("", fmt.Sprintf("%s served, %s of them queued",
		w.total("queue.acquired_count", func(s *statusjson.Status) uint64 { return s.Queue.AcquiredCount }),
		w.total("queue.waited_count", func(s *statusjson.Status) uint64 { return s.Queue.WaitedCount })))
	w.end("", fmt.Sprintf("%s timed out, %s refused at once, %s gave up, %s nested",
		w.total("queue.timed_out_count", func(s *statusjson.Status) uint64 { return s.Queue.TimedOutCount }),
		w.total("queue.shed_count", func(s *statusjson.Status) uint64 { return s.Queue.ShedCount }),
		w.total("queue.canceled_count", func(s *statusjson.Status) uint64 { return s.Queue.CanceledCount }),
		w.total("queue.nested_count", func(s *statusjson.Status) uint64 { return s.Queue.NestedCount })))
	w.pipeline()
}

// pipeline says how many statements were sent together with others, once any were.
func (w *writer) pipeline() {
	if w.now.Pipeline.SharedCount == 0 {
		return
	}
	w.end("", fmt.Sprintf("%s sent together with others, %.1f at a time; %s waited for a connection of their own%s",
		w.total("pipeline.shared_count", func(s *statusjson.Status) uint64 { return s.Pipeline.SharedCount }),
		float64(w.now.Pipeline.SharedCount)/float64(max(1, w.now.Pipeline.RunCount)),
		w.total("pipeline.unshared_count", func(s *statusjson.Status) uint64 { return s.Pipeline.UnsharedCount }),
		unsharedReasons(w.now.Pipeline.Unshared)))
}

// unsharedReasons names the two most frequent reasons.
func unsharedReasons(u statusjson.UnsharedReasons) string {
	type reason struct {
		name  string
		count uint64
	}
	reasons := []reason{
		{"text", u.Text}, {"new", u.New}, {"not a query", u.NotSelect}, {"slow", u.Slow}, {"large result", u.Large},
		{"nested", u.Nested}, {"arguments", u.Arguments},
	}
	slices.SortStableFunc(reasons, func(a, b reason) int { return cmp.Compare(b.count, a.count) })
	var names []string
	for _, r := range reasons[:2] {
		if r.count > 0 {
			names = append(names, r.name)
		}
	}
	if names == nil {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// recent is the wait and hold times of the last minutes, or of all time where
// the service does not watch a window.
func (w *writer) recent() string {
	wait := w.word("queue.recent_wait", func(s *statusjson.Status) string { return Percentiles(RecentWait(s)) })
	hold := w.word("queue.recent_hold", func(s *statusjson.Status) string { return Percentiles(RecentHold(s)) })
	if wait == "" && hold == "" {
		return ""
	}
	window := "since the start"
	if w.now.Queue.RecentWait.Count > 0 {
		window = "last " + Seconds(w.now.Queue.WindowSeconds)
	}
	return fmt.Sprintf("wait %s, hold %s (%s)", orDash(wait), orDash(hold), window)
}

// RecentWait is the waits of the last minutes, or all where there is no window.
func RecentWait(s *statusjson.Status) statusjson.Distribution {
	if s.Queue.RecentWait.Count > 0 {
		return s.Queue.RecentWait
	}
	return s.Queue.Wait
}

// RecentHold is the same for hold times.
func RecentHold(s *statusjson.Status) statusjson.Distribution {
	if s.Queue.RecentHold.Count > 0 {
		return s.Queue.RecentHold
	}
	return s.Queue.Hold
}

// Percentiles is "p50 1ms p95 25ms p99 340ms", or nothing.
func Percentiles(d statusjson.Distribution) string {
	if d.Count == 0 {
		return ""
	}
	return fmt.Sprintf("p50 %s p95 %s p99 %s", Seconds(d.P50Seconds), Seconds(d.P95Seconds), Seconds(d.P99Seconds))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (w *writer) lanes() {
	text := w.word("lanes", lanes)
	if text == "" && w.changed {
		text = "none in use"
	}
	if text != "" {
		w.end("Lanes", text)
	}
}

func lanes(s *statusjson.Status) string {
	text := ""
	for _, l := range s.Lanes {
		if l.InUse == 0 && l.Waiting == 0 {
			continue
		}
		text = some(", ", text, fmt.Sprintf("%s %d in use %d waiting", l.Lane, l.InUse, l.Waiting))
	}
	return text
}

// tasks are the background tasks, once there has been one.
func (w *writer) tasks() {
	t := w.now.Tasks
	if t.StartedCount == 0 && t.RefusedCount == 0 {
		return
	}
	running := w.num("tasks.running_count", func(s *statusjson.Status) int { return s.Tasks.RunningCount }) + " running"
	failed := w.total("tasks.failed_count", func(s *statusjson.Status) uint64 { return s.Tasks.FailedCount }) + " failed"
	if t.PanicCount > 0 {
		failed += fmt.Sprintf(" (%s by panic)", w.total("tasks.panic_count", func(s *statusjson.Status) uint64 { return s.Tasks.PanicCount }))
	}
	refused := ""
	if t.RefusedCount > 0 {
		refused = w.total("tasks.refused_count", func(s *statusjson.Status) uint64 { return s.Tasks.RefusedCount }) + " refused at shutdown"
	}
	w.end("Tasks", some("; ", running+oldest(t), some(", ", w.total("tasks.started_count", func(s *statusjson.Status) uint64 { return s.Tasks.StartedCount })+" started", failed, refused)))
}

// oldest is ": reindex for 12m, export for 3s", the tasks that run the longest.
func oldest(t statusjson.TaskFigures) string {
	text := ""
	for _, r := range t.Running[:min(len(t.Running), mostTasks)] {
		text = some(", ", text, orNone(r.Name)+" for "+Seconds(r.RunningSeconds))
	}
	if text == "" {
		return ""
	}
	if more := t.RunningCount - mostTasks; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return ": " + text
}

func (w *writer) connections() {
	text := fmt.Sprintf("%s opened, %s closed%s; %s dials, %s failed",
		w.total("connections.opened_count", func(s *statusjson.Status) uint64 { return s.Connections.OpenedCount }),
		w.total("connections.closed_count", func(s *statusjson.Status) uint64 { return s.Connections.ClosedCount }),
		ClosedReasons(w.now.Connections.Closed),
		w.total("connections.dial_count", func(s *statusjson.Status) uint64 { return s.Connections.DialCount }),
		w.total("connections.dial_error_count", func(s *statusjson.Status) uint64 { return s.Connections.DialErrorCount }))
	if n := w.now.Connections.CanceledStatementCount; n > 0 {
		text += "; " + w.total("connections.canceled_statement_count", func(s *statusjson.Status) uint64 { return s.Connections.CanceledStatementCount }) + " statements cancelled"
	}
	w.end("Connections", text)
}

// ClosedReasons is " (18 recycled, 3 surplus)", or nothing.
func ClosedReasons(c statusjson.ClosedReasons) string {
	text := ""
	for _, r := range []struct {
		n    uint64
		name string
	}{
		{c.Recycled, "recycled"}, {c.Surplus, "surplus"}, {c.Broken, "broken"},
		{c.Canceled, "cancelled"}, {c.Unclean, "unclean"}, {c.Shutdown, "shutdown"},
	} {
		if r.n > 0 {
			text = some(", ", text, Count(r.n)+" "+r.name)
		}
	}
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func (w *writer) access() {
	a := w.now.Access
	w.word("access", granting)
	if !a.OK {
		text := "the server grants no new connections: " + orNone(a.Reason)
		if d := since(w.now.At, a.Since); d > 0 {
			text += " (for " + Duration(d) + ")"
		}
		w.endAt(Warning, "Access", text)
	} else if w.changed {
		w.end("Access", "the server grants new connections again")
	}
	if e := w.now.LastDialError; e != nil && (!a.OK || since(w.now.At, e.At).Minutes() < 15) {
		if w.was != nil && (w.was.LastDialError == nil || !w.was.LastDialError.At.Equal(e.At)) {
			w.changed = true
		}
		w.end("Last dial", DialFailure(*e)+" ("+Duration(since(w.now.At, e.At))+" ago)")
	}
}

func granting(s *statusjson.Status) string {
	if s.Access.OK {
		return "granted"
	}
	return some(": ", "refused", s.Access.Reason)
}

// DialFailure is one line about a failed dial.
func DialFailure(e statusjson.DialFailure) string {
	state := ""
	if e.SQLState != "" && !strings.Contains(e.Message, e.SQLState) { // most messages end in it
		state = "SQLSTATE " + e.SQLState
	}
	return some("; ", some(": ", e.Reason, some(", ", state, e.Message)), e.Remedy)
}
