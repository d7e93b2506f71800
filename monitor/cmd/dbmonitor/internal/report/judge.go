// Package report judges what a service says about its pool, and writes it down
// for people and for scripts.
package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// Level is how bad it is. Its number is the exit code.
type Level int

// The levels, from good to bad.
const (
	Healthy     Level = iota // nothing to do
	Warning                  // it works, but look at it
	Critical                 // callers fail
	Unreachable              // no answer, so nothing is known
)

// String returns "healthy", "warning", "critical" or "unreachable".
func (l Level) String() string {
	return [...]string{"healthy", "warning", "critical", "unreachable"}[min(max(l, Healthy), Unreachable)]
}

// Word is the level as a headline: "WARNING".
func (l Level) Word() string { return strings.ToUpper(l.String()) }

// ExitCode is the process's exit code for this level: 0, 1, 2 or 3.
func (l Level) ExitCode() int { return int(l) }

// Verdict is a level and the reasons for it.
type Verdict struct {
	Level    Level
	For      time.Duration        // how long it has been so; 0 when unknown
	Problems []statusjson.Problem // worst first
}

// Judge is the verdict on one answer. It follows the service's own health,
// which knows the thresholds, and never makes it look better than the worst
// problem it lists.
func Judge(s source.Snapshot) Verdict {
	if s.Failure != nil || s.Health == nil {
		return Verdict{Level: Unreachable}
	}
	h := s.Health
	v := Verdict{Level: levelOf(h.Status), For: since(h.At, h.Since), Problems: slices.Clone(h.Problems)}
	for _, p := range v.Problems {
		v.Level = max(v.Level, severity(p.Severity))
	}
	slices.SortStableFunc(v.Problems, func(a, b statusjson.Problem) int {
		return cmp.Compare(severity(b.Severity), severity(a.Severity))
	})
	return v
}

// Worst is the worst level of several verdicts, Healthy for none.
func Worst(vs ...Verdict) Level {
	worst := Healthy
	for _, v := range vs {
		worst = max(worst, v.Level)
	}
	return worst
}

func levelOf(h statusjson.HealthStatus) Level {
	switch h {
	case statusjson.Healthy:
		return Healthy
	case statusjson.Unhealthy:
		return Critical
	default: // degraded, and whatever a later release may say
		return Warning
	}
}

func severity(s statusjson.Severity) Level {
	switch s {
	case statusjson.SeverityInfo:
		return Healthy
	case statusjson.SeverityCritical:
		return Critical
	default:
		return Warning
	}
}

// since is the time between two readings of the service's own clock.
func since(at, began time.Time) time.Duration {
	if at.IsZero() || began.IsZero() || at.Before(began) {
		return 0
	}
	return at.Sub(began)
}
