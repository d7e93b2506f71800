package monitor

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// verdict is what was judged last. The zero value has judged nothing.
type verdict struct {
	status   statusjson.HealthStatus
	since    time.Time
	problems []statusjson.Problem
	first    map[statusjson.ProblemCode]time.Time // since when each present problem has been seen
}

// judgeLocked judges anew; who asks for /health and the checks both do.
func (m *Monitor) judgeLocked(l look) {
	m.verdict.update(l.at, m.evidenceLocked(l).problems())
}

// announceLocked notes when the verdict has changed to or from unhealthy; what merely
// degrades has news of its own.
func (m *Monitor) announceLocked(n *notices) {
	is := m.verdict.status
	if is == "" || m.state != statusjson.MonitoringOn || is == statusjson.Unhealthy && m.verdict.problems[0].Code == statusjson.ProblemStarting {
		return
	}
	t := m.announced.Look(n.at, is == statusjson.Unhealthy)
	switch {
	case t.IsNothing():
	case is == statusjson.Unhealthy:
		reason := m.verdict.problems[0].Message
		n.came(t, slog.LevelError, statusjson.EventHealth, "", "database unhealthy", "unhealthy: "+reason, "reason", reason)
	default:
		n.went(t, statusjson.EventHealth, "", "database usable again", "the database can be used again", "health", string(is))
	}
}

func (v *verdict) update(now time.Time, found []statusjson.Problem) {
	status := statusjson.Healthy
	first := make(map[statusjson.ProblemCode]time.Time, len(found))
	for i := range found {
		p := &found[i]
		if p.Since.IsZero() {
			p.Since = now
			if t, ok := v.first[p.Code]; ok {
				p.Since = t
			}
		}
		first[p.Code] = p.Since
		status = worse(status, p.Severity)
	}
	if status != v.status {
		v.status, v.since = status, now
	}
	v.problems, v.first = found, first
}

func worse(s statusjson.HealthStatus, sev statusjson.Severity) statusjson.HealthStatus {
	if sev == statusjson.SeverityCritical || s == statusjson.Unhealthy {
		return statusjson.Unhealthy
	}
	return statusjson.Degraded
}

// evidence is what a verdict rests on.
type evidence struct {
	look
	state          statusjson.Monitoring
	probe          prober
	watch          *watch
	unhealthyAfter int
	staleAfter     time.Duration
}

func (m *Monitor) evidenceLocked(l look) evidence {
	return evidence{
		look: l, state: m.state, probe: m.prober, watch: &m.watch,
		unhealthyAfter: m.opts.unhealthyAfter,
		staleAfter:     2*m.opts.probeInterval + m.opts.probeTimeout,
	}
}

// problems lists what is wrong, worst first.
func (e evidence) problems() []statusjson.Problem {
	found := []statusjson.Problem{}
	for _, judge := range []func() (statusjson.Problem, bool){
		e.database, e.blocked, e.notRunning, e.stale, e.access, e.turningAway, e.leak, e.usage, e.serverUsage, e.standby, e.fleet, e.statementTimeoutLost,
	} {
		p, ok := judge()
		if !ok || (p.Code == statusjson.ProblemServerRefuses && len(found) > 0 && found[0].Code == statusjson.ProblemUnreachable) {
			continue // that no connection can be opened is said already
		}
		found = append(found, p)
	}
	return found
}

// database judges whether the database can be used. Without probes the pool's
// own traffic has to do.
func (e evidence) database() (statusjson.Problem, bool) {
	switch p := &e.probe; {
	case e.state != statusjson.MonitoringOn:
		return e.databaseByTraffic()
	case p.last.closed:
		return critical(statusjson.ProblemClosed, p.at, "the pool is closed")
	case p.at.IsZero() && e.stats.Open() > 0:
		return e.databaseByTraffic() // Pool.Ready, say, has had an answer a moment ago
	case p.at.IsZero():
		return critical(statusjson.ProblemStarting, time.Time{}, "the database has not been probed yet")
	case e.isStale():
		return e.databaseByTraffic()
	case p.failures > 0 && p.lastOK.IsZero():
		return critical(statusjson.ProblemUnreachable, p.failingAt, fmt.Sprintf("the database cannot be used: %s", p.last.reason))
	case p.failures >= e.unhealthyAfter:
		return critical(statusjson.ProblemUnreachable, p.failingAt, fmt.Sprintf("the database cannot be used: %s, for the last %s", p.last.reason, count(uint64(p.failures), "probe", "probes")))
	case p.failures > 0:
		return warning(statusjson.ProblemUnreachable, p.failingAt, fmt.Sprintf("the last probe failed: %s (%d of %d)", p.last.reason, p.failures, e.unhealthyAfter))
	case p.last.outcome == statusjson.ProbeBusy:
		return e.busy()
	}
	return statusjson.Problem{}, false
}

// busy judges a probe that found no connection free. It says nothing against the
// database: see blocked for what does.
func (e evidence) busy() (statusjson.Problem, bool) {
	if e.isBlocked() {
		return statusjson.Problem{}, false
	}
	return warning(statusjson.ProblemBusy, e.probe.busySince, fmt.Sprintf("the pool is busy: no connection was free for a probe (%d of %d in use, %d waiting)", e.stats.InUse, e.stats.Limit, e.stats.Waiting))
}

// isBlocked reports whether callers wait and the connections that they wait for
// will not come back by themselves: they wait for a lock, for each other, for a
// server that does not answer, or nobody uses them. Statements that run, however
// long, are no such thing.
func (e evidence) isBlocked() bool {
	return e.wrong.Verdict.Blocked() && e.stats.Idle <= e.stats.Kept && e.stats.Waiting > 0 && !e.watch.diagnosed.since.IsZero()
}

// blockedAfter is for how long callers must have been blocked for nobody to be
// sent here any more.
const blockedAfter = 10 * time.Second

// blocked judges a pool of which nobody gets a connection.
func (e evidence) blocked() (statusjson.Problem, bool) {
	if !e.isBlocked() {
		return statusjson.Problem{}, false
	}
	since := e.watch.diagnosed.since
	if e.at.Sub(since) < blockedAfter {
		return warning(statusjson.ProblemBusy, since, e.wrong.Sentence)
	}
	return critical(statusjson.ProblemStuck, since, e.wrong.Sentence)
}

func (e evidence) databaseByTraffic() (statusjson.Problem, bool) {
	if !refuses(&e.stats) || e.stats.Open() > 0 {
		return statusjson.Problem{}, false
	}
	return critical(statusjson.ProblemUnreachable, e.stats.Server.Since, fmt.Sprintf("no connection is open and none can be opened: %s", e.stats.Server.Reason))
}

func (e evidence) notRunning() (statusjson.Problem, bool) {
	switch e.state {
	case statusjson.MonitoringNotRunning:
		return warning(statusjson.ProblemNotRunning, time.Time{}, "the monitor does not run: call Run")
	case statusjson.MonitoringStopped:
		return warning(statusjson.ProblemNotRunning, time.Time{}, "the monitor has stopped")
	}
	return statusjson.Problem{}, false
}

func (e evidence) isStale() bool {
	return e.state == statusjson.MonitoringOn && !e.probe.at.IsZero() && e.at.Sub(e.probe.at) > e.staleAfter
}

func (e evidence) stale() (statusjson.Problem, bool) {
	if !e.isStale() {
		return statusjson.Problem{}, false
	}
	return warning(statusjson.ProblemStale, e.probe.at.Add(e.staleAfter), fmt.Sprintf("the last probe was %s ago", short(e.at.Sub(e.probe.at))))
}

func (e evidence) access() (statusjson.Problem, bool) {
	s := &e.stats
	if !refuses(s) {
		return statusjson.Problem{}, false
	}
	open := count(uint64(s.Open()), "connection is open", "connections are open")
	if s.Server.Reason.NoCapacity() {
		return warning(statusjson.ProblemServerFull, s.Server.Since, fmt.Sprintf("the server has no room for new connections (%s); %s", s.Server.Reason, open))
	}
	return warning(statusjson.ProblemServerRefuses, s.Server.Since, fmt.Sprintf("no new connection can be opened (%s); %s", s.Server.Reason, open))
}

func (e evidence) turningAway() (statusjson.Problem, bool) {
	w := e.watch
	if !w.turnedAway.on {
		return statusjson.Problem{}, false
	}
	return warning(statusjson.ProblemTurningAway, w.turnedAway.since, fmt.Sprintf("callers get no connection: %d timed out, %d were refused", w.timedOut, w.shed))
}

func (e evidence) leak() (statusjson.Problem, bool) {
	if e.stats.Leaking == 0 {
		return statusjson.Problem{}, false
	}
	return warning(statusjson.ProblemLeak, time.Time{}, leakMessage(e.look))
}

func (e evidence) usage() (statusjson.Problem, bool) {
	s := &e.stats
	if !e.watch.usage.on && (e.state == statusjson.MonitoringOn || s.Usage() < float64(e.cfg.MaxConnectionWarnings)) {
		return statusjson.Problem{}, false
	}
	figures := fmt.Sprintf("%s are in use (%.0f %%)", ofThose(s), s.Usage())
	if s.Usage() < float64(e.cfg.MaxConnectionWarnings) {
		return warning(statusjson.ProblemUsageHigh, e.watch.usage.begin(), fmt.Sprintf("usage was %d %% or more %s; now %s", e.cfg.MaxConnectionWarnings, e.watch.usage.lately(), figures))
	}
	return warning(statusjson.ProblemUsageHigh, e.watch.usage.begin(), fmt.Sprintf("%s; the threshold is %d %%", figures, e.cfg.MaxConnectionWarnings))
}

// ofThose counts the connections in use among those that Stats.Usage is a part of.
func ofThose(s *pool.Stats) string {
	if s.Available() < s.MaxOpen() {
		return fmt.Sprintf("%d of the %d connections that can be had", s.InUse, s.Available())
	}
	return fmt.Sprintf("%d of %d connections", s.InUse, s.MaxOpen())
}

func (e evidence) serverUsage() (statusjson.Problem, bool) {
	if !e.watch.serverUsage.on || e.view == nil {
		return statusjson.Problem{}, false
	}
	return warning(statusjson.ProblemServerUsage, e.watch.serverUsage.begin(),
		fmt.Sprintf("the server is at %.0f %% of what this role may use (threshold %d %%)", e.view.UsagePercent, e.cfg.MaxConnectionWarnings))
}

func (e evidence) statementTimeoutLost() (statusjson.Problem, bool) {
	t := e.stats.StatementTimeout
	if t.InForce || t.How != "not in force" {
		return statusjson.Problem{}, false
	}
	return warning(statusjson.ProblemNoStmtTimeout, time.Time{}, fmt.Sprintf("the statement timeout of %s is not in force", t.Want))
}

func critical(code statusjson.ProblemCode, since time.Time, message string) (statusjson.Problem, bool) {
	return statusjson.Problem{Code: code, Severity: statusjson.SeverityCritical, Message: message, Since: since}, true
}

func warning(code statusjson.ProblemCode, since time.Time, message string) (statusjson.Problem, bool) {
	return statusjson.Problem{Code: code, Severity: statusjson.SeverityWarning, Message: message, Since: since}, true
}
