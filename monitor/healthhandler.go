package monitor

import (
	"net/http"
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// Health returns the handler of /health. It answers a HealthReport as JSON, with
// 200 when healthy or degraded and 503 when unhealthy, to GET and HEAD. It never
// touches the database: it reports what the background probes found, and the
// pool's own figures.
func (m *Monitor) Health() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowed(w, r) {
			return
		}
		report := m.HealthReport()
		code := http.StatusOK
		if report.Status == statusjson.Unhealthy {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, r, code, report)
	})
}

// HealthReport returns what /health answers at this moment.
func (m *Monitor) HealthReport() statusjson.HealthReport { return m.healthReport(m.look()) }

func (m *Monitor) healthReport(l look) statusjson.HealthReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.judgeLocked(l)
	s := &l.stats
	return statusjson.HealthReport{
		Service: statusjson.ServiceName, Format: statusjson.Format, Name: l.cfg.Name,
		Status: m.verdict.status, Since: m.verdict.since, At: l.at, Problems: m.verdict.problems,
		Diagnosis:  diagnosisOf(l),
		Monitoring: m.state, Probe: m.probeReportLocked(l.at),
		InUse: s.InUse, MaxOpen: s.MaxOpen(), UsagePercent: round(s.Usage()), Waiting: s.Waiting,
	}
}

func (m *Monitor) probeReportLocked(now time.Time) *statusjson.Probe {
	p := &m.prober
	if p.at.IsZero() {
		return nil
	}
	return &statusjson.Probe{
		At: p.at, AgeSeconds: seconds(now.Sub(p.at)), Outcome: p.last.outcome, LatencySeconds: seconds(p.latency),
		Reason: p.last.reason, ConsecutiveFailures: p.failures, LastOK: p.lastOK,
		IntervalSeconds: m.opts.probeInterval.Seconds(),
	}
}
