package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// Line is one report for scripts: one JSON object on one line. Fields are
// added, never renamed.
type Line struct {
	URL      string                   `json:"url"`       // what was asked, without user, password and query
	At       time.Time                `json:"at"`        // when, by this machine's clock
	Took     float64                  `json:"seconds"`   // how long the answer took
	Level    string                   `json:"level"`     // healthy, warning, critical, unreachable
	ExitCode int                      `json:"exit_code"` // 0, 1, 2, 3
	Error    string                   `json:"error,omitempty"`
	Problems []statusjson.Problem     `json:"problems"`          // worst first
	Notes    []string                 `json:"notes,omitempty"`   // what to know about this answer
	Changes  []Change                 `json:"changes,omitempty"` // since the line before, with --continuous
	Health   *statusjson.HealthReport `json:"health,omitempty"`  // only when the status could not be had
	Status   *statusjson.Status       `json:"status,omitempty"`  // the service's /debug/pool-status
}

// WriteJSON prints the report as one line.
func WriteJSON(out io.Writer, r Report) error {
	s := r.Snapshot
	l := Line{
		URL: s.Target, At: s.At, Took: s.Took.Seconds(),
		Level: r.Verdict.Level.String(), ExitCode: r.Verdict.Level.ExitCode(),
		Problems: r.Verdict.Problems, Notes: s.Notes, Changes: r.Changes, Status: s.Status,
	}
	if l.Problems == nil {
		l.Problems = []statusjson.Problem{}
	}
	if s.Failure != nil {
		l.Error = s.Failure.Error()
	} else if s.Status == nil {
		l.Health = s.Health
	}
	return json.NewEncoder(out).Encode(l)
}
