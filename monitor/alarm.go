package monitor

import (
	"fmt"
	"time"

	"github.com/dbpool-go/dbpool/internal/flap"
	"github.com/dbpool-go/dbpool/pool"
)

const (
	// clearPoints is how far below the threshold usage must fall for the warning
	// to be taken back; for thresholds under 40 it is a quarter of them.
	clearPoints = 10
	// clearAfter is how long it must stay there. Both keep a pool that breathes
	// around its threshold from warning with every breath.
	clearAfter = 10 * time.Second
)

// alarm is raised when a usage reaches its threshold, at the first sight of it,
// and taken back when the usage has stayed well below for a while.
type alarm struct {
	on    bool
	since time.Time // when on last changed
	calm  time.Time // since when usage has been below clearLevel; zero while it is not
	told  flap.State
}

// clearLevel is the usage below which the warning is taken back.
func clearLevel(threshold int) float64 {
	return float64(threshold) - min(clearPoints, float64(threshold)/4)
}

// update takes a usage in percent and reports whether the alarm changed, and what
// the log is to have of it.
func (a *alarm) update(now time.Time, usage float64, threshold int) flap.Turn {
	return a.raise(now, usage >= float64(threshold), usage >= clearLevel(threshold))
}

// raise takes whether there is cause for alarm, and whether there is still cause
// not to take it back.
func (a *alarm) raise(now time.Time, cause, still bool) flap.Turn {
	if still {
		a.calm = time.Time{}
	} else if a.calm.IsZero() {
		a.calm = now
	}
	switch {
	case !a.on && cause:
		a.on, a.since = true, now
	case a.on && !a.calm.IsZero() && now.Sub(a.calm) >= clearAfter:
		a.on, a.since = false, now
	}
	return a.told.Look(now, a.on)
}

// begin is when the alarm was raised; zero while it is not.
func (a *alarm) begin() time.Time {
	if !a.on {
		return time.Time{}
	}
	return a.since
}

// usageAlarm is the alarm of the pool: its usage has been at the threshold for most
// of the last seconds, as the gate measured it, or callers wait in vain. A pool
// that breathes, full for a moment and empty for longer, is well.
type usageAlarm struct {
	alarm
	spans, aboves [sustained]time.Duration // the last samples
	n             int
}

// sustained is how many samples, one a second, are looked at.
const sustained = 10

func (a *usageAlarm) update(now time.Time, usage float64, threshold int, s pool.UsageSample, wrong bool) flap.Turn {
	if s.Span > 0 {
		a.spans[a.n%sustained], a.aboves[a.n%sustained] = s.Span, s.Above
		a.n++
	}
	span, above := a.sums()
	high := usage >= float64(threshold)
	cause := wrong && high || a.n >= sustained && 2*above >= span
	return a.raise(now, cause, 4*above >= span || usage >= clearLevel(threshold))
}

// sums are the samples together.
func (a *usageAlarm) sums() (span, above time.Duration) {
	for i := range a.spans {
		span, above = span+a.spans[i], above+a.aboves[i]
	}
	return span, above
}

// lately says for how much of the last samples the pool was at the threshold.
func (a *usageAlarm) lately() string {
	span, above := a.sums()
	if percent := 100 * float64(above) / float64(max(span, 1)); percent >= 1 {
		return fmt.Sprintf("for %.0f %% of the last %s", percent, sustained*checkInterval)
	}
	return "until a moment ago"
}
