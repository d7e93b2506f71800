package pool

import (
	"cmp"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
)

// Stats returns a snapshot, taken under one lock. It is cheap enough to be
// called on every scrape and in every error.
func (p *Pool) Stats() Stats {
	s := p.figures()
	s.Tasks = p.tasks.stats()
	s.Standby = p.standbys.stats()
	return s
}

// figures is Stats without the list of running tasks. Its cost does not grow
// with the queue, as that list does: it is made for each caller that is refused.
func (p *Pool) figures() Stats {
	now := time.Now()
	figures := p.gate.Snapshot(now, p.cfg.LeakThreshold)
	s := statsOf(figures)
	s.Name, s.At, s.StatementTimeout = p.cfg.Name, now, p.statementTimeout()
	if p.dialer.opener.Pooled() {
		s.Pooler = "pgbouncer"
	}
	s.CancelCount = p.dialer.shared.Canceled.Load()
	s.Fleet = p.fleetCheck.stats()
	s.Pipeline = p.pipelineStats(figures)
	s.Tasks = p.tasks.counters()
	return s
}

// statsOf is what the gate knows of Stats.
func statsOf(g gate.Snapshot) Stats {
	s := Stats{
		PoolSize: g.PoolSize, MaxOverflow: g.Configured - g.PoolSize, Limit: g.Limit,
		InUse: g.InUse, Idle: g.Idle, Dialing: g.Dialing, Closing: g.Closing, Quarantined: g.Quarantined, Waiting: g.Waiting, Kept: g.Kept,
		AcquireCount: g.Acquired, WaitCount: g.Waited, WaitDuration: g.WaitDuration, HoldDuration: g.HoldDuration,
		TimeoutCount: g.TimedOut, ShedCount: g.Shed, AcquireCanceledCount: g.Canceled, NestedCount: g.Nested,
		OpenedCount: g.Opened, Closed: ClosedStats(g.Closed), Ended: endedStats(g.Ended), DialCount: g.Dials, DialErrorCount: g.DialErrors,
		Server: ServerState{OK: g.Server.OK, Reason: Reason(g.Server.Reason), Since: g.Server.Since},
		Wait:   Histogram(g.Wait), Hold: Histogram(g.Hold),
		LeakWarningCount: g.Leaks, Leaking: g.Leaking,
	}
	for l, figures := range g.Lanes {
		s.Lanes[l] = LaneStats(figures)
	}
	s.LastDialError, _ = g.LastFailure.Err.(*DialError)
	return s
}

// statementTimeout tells how Config.StatementTimeout is kept.
func (p *Pool) statementTimeout() StatementTimeout {
	how, inForce := p.dialer.opener.StatementTimeout()
	return StatementTimeout{Want: p.cfg.StatementTimeout, InForce: inForce, How: cmp.Or(how, "not checked yet")}
}
