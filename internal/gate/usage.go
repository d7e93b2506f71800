package gate

import "time"

// Usage is what happened between two samples.
type Usage struct {
	Span    time.Duration // since the sample before
	Peak    int           // the most connections that callers held at once
	Waiting int           // the most callers that waited at once
	Above   time.Duration // for how long the threshold was reached
}

// usage is the gate's side of SampleUsage. All fields are guarded by Gate.mu.
type usage struct {
	level         int           // from how many connections in use on the time counts; 0 before the first sample
	began         time.Time     // of the present sample
	peak, waiting int           // the most of each since began
	above         time.Duration // at or above level since began, up to since
	since         time.Time     // when the level was reached; zero while it is not
}

// SampleUsage returns what happened since it was called last. From now on Above is the
// time during which at least threshold percent of available connections are in use.
func (g *Gate) SampleUsage(threshold, available int, now time.Time) Usage {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := &g.usage
	busy := g.busyLocked()
	out := Usage{Peak: max(u.peak, busy), Waiting: max(u.waiting, g.waiting), Above: u.above}
	if !u.began.IsZero() {
		out.Span = now.Sub(u.began)
	}
	if !u.since.IsZero() {
		out.Above += now.Sub(u.since)
	}
	*u = usage{level: max(1, (threshold*available+99)/100), began: now, peak: busy, waiting: g.waiting}
	g.usageLocked(now)
	return out
}

// usageLocked follows a change of how many connections are in use.
func (g *Gate) usageLocked(now time.Time) {
	u := &g.usage
	if u.level == 0 {
		return
	}
	busy := g.busyLocked()
	u.peak = max(u.peak, busy)
	switch {
	case busy >= u.level && u.since.IsZero():
		u.since = now
	case busy < u.level && !u.since.IsZero():
		u.above += now.Sub(u.since)
		u.since = time.Time{}
	}
}
