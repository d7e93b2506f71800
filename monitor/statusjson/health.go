package statusjson

import "time"

// HealthReport is the JSON of /health. It is small and safe to show to a load
// balancer: no addresses and no texts from the server. Its diagnosis names what
// an operator needs at night: file and line, the application and role of a
// session that is in the way.
//
// Healthy and degraded are answered with 200, unhealthy with 503.
type HealthReport struct {
	Service string `json:"service"` // always "dbpool"
	Format  int    `json:"format"`  // version of this document, see Format
	Name    string `json:"name"`    // the pool's name

	Status   HealthStatus `json:"status"`         // healthy, degraded or unhealthy
	Since    time.Time    `json:"since,omitzero"` // since when it has been so
	At       time.Time    `json:"at"`             // when this answer was made
	Problems []Problem    `json:"problems"`       // what is wrong, worst first; empty when healthy

	Diagnosis *Diagnosis `json:"diagnosis,omitempty"` // why callers get no connection; absent when nothing keeps them from it

	Monitoring Monitoring `json:"monitoring"`      // when not "on", judged by the pool's own traffic
	Probe      *Probe     `json:"probe,omitempty"` // the last probe; absent before the first and when monitoring is off

	InUse        int     `json:"in_use"`        // connections held by callers
	MaxOpen      int     `json:"max_open"`      // the most the pool may open
	UsagePercent float64 `json:"usage_percent"` // in_use of those that can be had
	Waiting      int     `json:"waiting"`       // callers queued for a connection
}

// HealthStatus is the verdict.
type HealthStatus string

// The verdicts.
const (
	Healthy   HealthStatus = "healthy"   // the database answers and nothing is wrong
	Degraded  HealthStatus = "degraded"  // it works, but look at it: busy, leaking, nearly full
	Unhealthy HealthStatus = "unhealthy" // the database cannot be used
)

// Problem is one thing that is wrong.
type Problem struct {
	Code     ProblemCode `json:"code"`
	Severity Severity    `json:"severity"`       // warning degrades, critical makes unhealthy
	Message  string      `json:"message"`        // one line for people
	Since    time.Time   `json:"since,omitzero"` // since when
}

// Diagnosis says why callers get no connection, or are about to get none. The
// pool's errors and the log say the same sentence.
type Diagnosis struct {
	Verdict        string    `json:"verdict"`                    // the cause, such as "lock" or "leak"
	Sentence       string    `json:"sentence"`                   // one line for people: cause, culprit, since when, what to do
	Culprit        string    `json:"culprit,omitempty"`          // a session, a file:line, an application
	Command        string    `json:"command,omitempty"`          // SQL that helps at once
	Since          time.Time `json:"since,omitzero"`             // since when
	SeenAgeSeconds float64   `json:"seen_age_seconds,omitempty"` // how old what was seen of the server is, if it rests on that
}

// ProblemCode says what is wrong.
type ProblemCode string

// The problems.
const (
	ProblemUnreachable   ProblemCode = "unreachable"       // probes fail
	ProblemStuck         ProblemCode = "stuck"             // every connection is held and none has come back for long
	ProblemClosed        ProblemCode = "closed"            // the pool is closed or shutting down
	ProblemStarting      ProblemCode = "starting"          // no probe has finished yet, and no connection is open
	ProblemStale         ProblemCode = "stale"             // the last probe is too long ago
	ProblemNotRunning    ProblemCode = "not_running"       // the monitor does not run
	ProblemBusy          ProblemCode = "busy"              // no connection was free for the probe; work goes on
	ProblemServerFull    ProblemCode = "server_full"       // the server refuses new connections: no slot
	ProblemServerRefuses ProblemCode = "server_refuses"    // the server refuses new connections for another reason
	ProblemUsageHigh     ProblemCode = "usage_high"        // pool usage is above the threshold
	ProblemServerUsage   ProblemCode = "server_usage_high" // the server's usage is above the threshold
	ProblemLeak          ProblemCode = "leak"              // connections are held longer than the leak threshold
	ProblemTurningAway   ProblemCode = "turning_away"      // callers time out or are refused
	ProblemStandby       ProblemCode = "standby"           // reads that asked for a standby go to the primary
	ProblemFleetMisfit   ProblemCode = "fleet_misfit"      // all replicas together can ask for more than there is
	ProblemNoStmtTimeout ProblemCode = "statement_timeout" // the limit for statements is not in force
)

// Probe is the last background probe of the database.
type Probe struct {
	At                  time.Time    `json:"at"`                   // when it ended
	AgeSeconds          float64      `json:"age_seconds"`          // how long ago that is
	Outcome             ProbeOutcome `json:"outcome"`              // ok, busy, failed
	LatencySeconds      float64      `json:"latency_seconds"`      // from asking for a connection to the answer
	Reason              string       `json:"reason,omitempty"`     // why it failed, in a few fixed words
	ConsecutiveFailures int          `json:"consecutive_failures"` // busy ones not counted
	LastOK              time.Time    `json:"last_ok,omitzero"`     // the end of the last one that was ok
	IntervalSeconds     float64      `json:"interval_seconds"`     // time between two probes
}

// ProbeOutcome is how a probe ended.
type ProbeOutcome string

// How a probe can end.
const (
	ProbeOK     ProbeOutcome = "ok"     // the database answered
	ProbeBusy   ProbeOutcome = "busy"   // no connection was free for it: says nothing about the database
	ProbeFailed ProbeOutcome = "failed" // the database could not be reached or did not answer in time
)
