package monitor

import (
	"fmt"
	"time"
)

// stuckAfter is how long a pool must be full without a single connection coming
// back before it counts as stuck rather than busy: a minute, or longer where
// statements may take longer.
func stuckAfter(statementTimeout time.Duration) time.Duration {
	return max(time.Minute, statementTimeout+30*time.Second)
}

// verdict is what was judged last. The zero value has judged nothing.
type verdict struct {
	status   HealthStatus
	since    time.Time
	problems []Problem
	first    map[ProblemCode]time.Time // since when each present problem has been seen
}

// judgeLocked judges anew; who asks for /health and the checks both do.
func (m *Monitor) judgeLocked(l look) {
	m.verdict.update(l.at, m.evidenceLocked(l).problems())
}

// announceLocked notes when the verdict has changed to or from unhealthy since it
// was announced last; what merely degrades has news of its own.
func (m *Monitor) announceLocked(n *newsdesk) {
	was, is := m.announced, m.verdict.status
	if is == was || m.state != MonitoringOn {
		return
	}
	m.announced = is
	switch {
	case is == Unhealthy && m.verdict.problems[0].Code == ProblemStarting:
		m.announced = was
	case is == Unhealthy:
		n.alert(EventHealth, "database unhealthy", "unhealthy: "+m.verdict.problems[0].Message, "reason", m.verdict.problems[0].Message)
	case was == Unhealthy:
		n.clear(EventHealth, "database usable again", "the database can be used again", "health", string(is))
	}
}

func (v *verdict) update(now time.Time, found []Problem) {
	status := Healthy
	first := make(map[ProblemCode]time.Time, len(found))
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

func worse(s HealthStatus, sev Severity) HealthStatus {
	if sev == SeverityCritical || s == Unhealthy {
		return Unhealthy
	}
	return Degraded
}

// evidence is what a verdict rests on.
type evidence struct {
	look
	state          Monitoring
	probe          prober
	watch          *watch
	unhealthyAfter int
	staleAfter     time.Duration
	stuckAfter     time.Duration
}

func (m *Monitor) evidenceLocked(l look) evidence {
	return evidence{
		look: l, state: m.state, probe: m.prober, watch: &m.watch,
		unhealthyAfter: m.opts.unhealthyAfter,
		staleAfter:     2*m.opts.probeInterval + m.opts.probeTimeout,
		stuckAfter:     stuckAfter(l.cfg.StatementTimeout),
	}
}

// problems lists what is wrong, worst first.
func (e evidence) problems() []Problem {
	found := []Problem{}
	for _, judge := range []func() (Problem, bool){
		e.database, e.notRunning, e.stale, e.access, e.turningAway, e.leak, e.usage, e.serverUsage, e.fleet, e.statementTimeoutLost,
	} {
		p, ok := judge()
		if !ok || (p.Code == ProblemServerRefuses && len(found) > 0 && found[0].Code == ProblemUnreachable) {
			continue // that no connection can be opened is said already
		}
		found = append(found, p)
	}
	return found
}

// database judges whether the database can be used. Without probes the pool's
// own traffic has to do.
func (e evidence) database() (Problem, bool) {
	switch p := &e.probe; {
	case e.state != MonitoringOn:
		return e.databaseByTraffic()
	case p.last.closed:
		return critical(ProblemClosed, p.at, "the pool is closed")
	case p.at.IsZero():
		return critical(ProblemStarting, time.Time{}, "the database has not been probed yet")
	case e.isStale():
		return e.databaseByTraffic()
	case p.failures > 0 && p.lastOK.IsZero():
		return critical(ProblemUnreachable, p.failingAt, fmt.Sprintf("the database cannot be used: %s", p.last.reason))
	case p.failures >= e.unhealthyAfter:
		return critical(ProblemUnreachable, p.failingAt, fmt.Sprintf("the database cannot be used: %s, for the last %s", p.last.reason, count(uint64(p.failures), "probe", "probes")))
	case p.failures > 0:
		return warning(ProblemUnreachable, p.failingAt, fmt.Sprintf("the last probe failed: %s (%d of %d)", p.last.reason, p.failures, e.unhealthyAfter))
	case p.last.outcome == ProbeBusy:
		return e.busy()
	}
	return Problem{}, false
}

// busy judges a probe that found no connection free. While others complete their
// work the database is well; when nobody has for long, nobody is served.
func (e evidence) busy() (Problem, bool) {
	still := e.at.Sub(e.watch.lastGive)
	if !e.watch.lastGive.IsZero() && still >= e.stuckAfter {
		return critical(ProblemStuck, e.watch.lastGive, fmt.Sprintf("all %d connections are held and none has come back for %s", e.stats.InUse, short(still)))
	}
	return warning(ProblemBusy, e.probe.busySince, fmt.Sprintf("the pool is busy: no connection was free for a probe (%d of %d in use, %d waiting)", e.stats.InUse, e.stats.Limit, e.stats.Waiting))
}

func (e evidence) databaseByTraffic() (Problem, bool) {
	if !refuses(&e.stats) || e.stats.Open() > 0 {
		return Problem{}, false
	}
	return critical(ProblemUnreachable, e.stats.Server.Since, fmt.Sprintf("no connection is open and none can be opened: %s", e.stats.Server.Reason))
}

func (e evidence) notRunning() (Problem, bool) {
	switch e.state {
	case MonitoringNotRunning:
		return warning(ProblemNotRunning, time.Time{}, "the monitor does not run: call Run")
	case MonitoringStopped:
		return warning(ProblemNotRunning, time.Time{}, "the monitor has stopped")
	}
	return Problem{}, false
}

func (e evidence) isStale() bool {
	return e.state == MonitoringOn && !e.probe.at.IsZero() && e.at.Sub(e.probe.at) > e.staleAfter
}

func (e evidence) stale() (Problem, bool) {
	if !e.isStale() {
		return Problem{}, false
	}
	return warning(ProblemStale, e.probe.at.Add(e.staleAfter), fmt.Sprintf("the last probe was %s ago", short(e.at.Sub(e.probe.at))))
}

func (e evidence) access() (Problem, bool) {
	s := &e.stats
	if !refuses(s) {
		return Problem{}, false
	}
	open := count(uint64(s.Open()), "connection is open", "connections are open")
	if noRoom(s.Server.Reason) {
		return warning(ProblemServerFull, s.Server.Since, fmt.Sprintf("the server has no room for new connections (%s); %s", s.Server.Reason, open))
	}
	return warning(ProblemServerRefuses, s.Server.Since, fmt.Sprintf("no new connection can be opened (%s); %s", s.Server.Reason, open))
}

func (e evidence) turningAway() (Problem, bool) {
	w := e.watch
	if !w.turnedAway.on {
		return Problem{}, false
	}
	return warning(ProblemTurningAway, w.turnedAway.since, fmt.Sprintf("callers get no connection: %d timed out, %d were refused", w.timedOut, w.shed))
}

func (e evidence) leak() (Problem, bool) {
	if e.stats.Leaking == 0 {
		return Problem{}, false
	}
	return warning(ProblemLeak, time.Time{}, count(uint64(e.stats.Leaking), "connection is", "connections are")+" held for too long")
}

func (e evidence) usage() (Problem, bool) {
	s := &e.stats
	if !e.watch.usage.on && (e.state == MonitoringOn || s.Usage() < float64(e.cfg.MaxConnectionWarnings)) {
		return Problem{}, false
	}
	figures := fmt.Sprintf("%d of %d connections are in use (%.0f %%)", s.InUse, s.MaxOpen(), s.Usage())
	if s.Usage() < float64(e.cfg.MaxConnectionWarnings) {
		return warning(ProblemUsageHigh, e.watch.usage.begin(), fmt.Sprintf("usage reached %d %% and is not well below it yet: %s", e.cfg.MaxConnectionWarnings, figures))
	}
	return warning(ProblemUsageHigh, e.watch.usage.begin(), fmt.Sprintf("%s; the threshold is %d %%", figures, e.cfg.MaxConnectionWarnings))
}

func (e evidence) serverUsage() (Problem, bool) {
	if !e.watch.serverUsage.on || e.view == nil {
		return Problem{}, false
	}
	return warning(ProblemServerUsage, e.watch.serverUsage.begin(),
		fmt.Sprintf("the server is at %.0f %% of what this role may use (threshold %d %%)", e.view.UsagePercent, e.cfg.MaxConnectionWarnings))
}

func (e evidence) statementTimeoutLost() (Problem, bool) {
	t := e.stats.StatementTimeout
	if t.InForce || t.How != "not in force" {
		return Problem{}, false
	}
	return warning(ProblemNoStmtTimeout, time.Time{}, fmt.Sprintf("the statement timeout of %s is not in force", t.Want))
}

func critical(code ProblemCode, since time.Time, message string) (Problem, bool) {
	return Problem{Code: code, Severity: SeverityCritical, Message: message, Since: since}, true
}

func warning(code ProblemCode, since time.Time, message string) (Problem, bool) {
	return Problem{Code: code, Severity: SeverityWarning, Message: message, Since: since}, true
}
