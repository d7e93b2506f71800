package monitor

import (
	"context"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/pool"
)

// checkInterval is how often the pool's figures are looked at.
const checkInterval = time.Second

// look is one look at the pool: everything a check reasons about, gathered
// before the lock is taken.
type look struct {
	at     time.Time
	cfg    config.Config
	stats  pool.Stats
	view   *serverview.View // the server's last view; nil when there is none, or it is old
	oldest []pool.Holder    // the longest holder, when something is wrong
	wrong  pool.Diagnosis   // why callers get no connection
	hog    pool.RouteStats  // who holds most connections by name, while callers wait
	usage  pool.UsageSample // since the check before; the zero value when this is no check
}

// keepChecking looks at the pool every checkInterval and logs its status every
// Config.LogPoolStatusInterval, until ctx ends.
func (m *Monitor) keepChecking(ctx context.Context) {
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	report := time.NewTicker(m.pool.Config().LogPoolStatusInterval)
	defer report.Stop()
	base := m.pool.Stats()
	m.check()
	for {
		select {
		case <-ctx.Done():
			return
		case <-check.C:
			m.check()
			m.lookCloser()
		case <-report.C:
			base = m.report(base)
		}
	}
}

// look gathers, without the monitor's lock.
func (m *Monitor) look() look {
	now := time.Now()
	l := look{at: now, cfg: m.pool.Config(), stats: m.pool.Stats(), view: m.server.latest(now), wrong: m.pool.Diagnose()}
	if l.stats.Leaking > 0 || l.stats.Usage() >= float64(l.cfg.MaxConnectionWarnings) {
		l.oldest = m.pool.Holders(1)
	}
	if l.stats.Waiting > 0 || l.wrong.Verdict != "" {
		l.hog = hog(m.pool.Routes())
	}
	return l
}

// hog is the name that holds most connections; the zero value when none holds any.
func hog(all []pool.RouteStats) pool.RouteStats {
	var most pool.RouteStats
	for _, r := range all {
		if r.Name != "" && r.InUse > most.InUse {
			most = r
		}
	}
	return most
}

// check draws every conclusion from one look, then logs what is to be logged.
func (m *Monitor) check() {
	l := m.look()
	l.usage = m.pool.SampleUsage(l.cfg.MaxConnectionWarnings)
	m.markNamed(l.at)
	for _, n := range m.conclude(l) {
		m.log.Log(context.Background(), n.level, n.message, n.attrs...)
	}
}

// lookCloser has the server asked before it is due when callers wait in vain:
// what it said before they had to does not say why they have to.
func (m *Monitor) lookCloser() {
	if !m.crowded() || m.pool.Diagnose().Verdict == "" {
		return
	}
	select {
	case m.hurry <- struct{}{}:
	default:
	}
}

func (m *Monitor) conclude(l look) []notice {
	m.mu.Lock()
	defer m.mu.Unlock()
	desk := &notices{at: l.at, events: &m.events}
	m.watch.observe(desk, l)
	m.judgeLocked(l)
	m.announceLocked(desk)
	m.history.observe(l)
	return desk.toLog
}

// watch is what the checks have seen so far. The zero value has seen nothing.
type watch struct {
	last *pool.Stats // at the check before; nil before the first

	usage       usageAlarm // of the pool
	serverUsage alarm      // of the server
	refused     bool       // the server was refusing connections at the last check
	misfit      bool       // the fleet did not fit when it was looked at last
	divided     bool       // the fleet's budget was divided by number at the last check
	diagnosed   diagnosed
	turnedAway  episode          // callers that timed out or were refused
	timedOut    uint64           // of turnedAway
	shed        uint64           // of turnedAway
	ended       map[string]ended // connections that were ended, by what ended them
	recycled    episode          // many connections replaced at once
	replaced    [10]uint64
	checks      int
}

func (w *watch) observe(n *notices, l look) {
	s := &l.stats
	if w.last == nil {
		w.last = s
	}
	w.watchDiagnosis(n, l)
	w.watchUsage(n, l)
	w.watchServerUsage(n, l)
	w.watchAccess(n, s)
	w.watchFleet(n, l)
	w.watchTurnedAway(n, l)
	w.watchEnded(n, s)
	w.watchRecycling(n, s)
	w.watchSize(n, s)
	w.watchLeaks(n, l)
	w.last = s
}
