package monitor

import "time"

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
}

// clearLevel is the usage below which the warning is taken back.
func clearLevel(threshold int) float64 {
	return float64(threshold) - min(clearPoints, float64(threshold)/4)
}

// update takes a usage in percent and reports whether the alarm changed.
func (a *alarm) update(now time.Time, usage float64, threshold int) bool {
	if usage >= clearLevel(threshold) {
		a.calm = time.Time{}
	} else if a.calm.IsZero() {
		a.calm = now
	}
	switch {
	case !a.on && usage >= float64(threshold):
		a.on, a.since = true, now
		return true
	case a.on && !a.calm.IsZero() && now.Sub(a.calm) >= clearAfter:
		a.on, a.since = false, now
		return true
	}
	return false
}

// begin is when the alarm was raised; zero while it is not.
func (a *alarm) begin() time.Time {
	if !a.on {
		return time.Time{}
	}
	return a.since
}
