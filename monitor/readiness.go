package monitor

import (
	"net/http"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// Live returns the handler of /health/live, for what restarts a process that
// does not answer, such as Kubernetes' livenessProbe. It answers 200 whatever
// the database does: a restart would not bring that back, and all replicas would
// restart together.
func (m *Monitor) Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allowed(w, r) {
			writeJSON(w, r, http.StatusOK, statusjson.Readiness{Service: statusjson.ServiceName, OK: true})
		}
	})
}

// Ready returns the handler of /health/ready, for what sends requests to this
// replica, such as Kubernetes' readinessProbe. It answers 503 while Health does,
// and from [Monitor.Drain] on. Like Health it never touches the database.
func (m *Monitor) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowed(w, r) {
			return
		}
		answer, code := m.readiness(), http.StatusOK
		if !answer.OK {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, r, code, answer)
	})
}

func (m *Monitor) readiness() statusjson.Readiness {
	answer := statusjson.Readiness{Service: statusjson.ServiceName}
	report := m.HealthReport()
	switch {
	case m.draining.Load():
		answer.Why = "draining: this replica is shutting down"
	case report.Status == statusjson.Unhealthy && report.Diagnosis != nil:
		answer.Why = report.Diagnosis.Sentence
	case report.Status == statusjson.Unhealthy && len(report.Problems) > 0:
		answer.Why = report.Problems[0].Message
	case report.Status == statusjson.Unhealthy:
		answer.Why = string(report.Status)
	default:
		answer.OK = true
	}
	return answer
}

// Drain makes Ready answer 503 from now on, so that no new requests are sent
// here. Call it when the process is told to end, and go on serving until those
// who ask Ready have noticed; then shut the server and the pool down. It does
// nothing else, and may be called at any time and again.
func (m *Monitor) Drain() { m.draining.Store(true) }
