package fleet

import "time"

// An errand is what a replica needs one of its sessions for.
type errand int

const (
	errandNone  errand = iota
	errandProbe        // ask whether somebody lacks something
	errandLook         // see who has what, and act
)

// next is when there is something to do, and what. A replica that lacks nothing
// only asks now and then whether another does, which costs the server next to
// nothing however large the fleet is; it looks when one does, and every
// ten seconds in any case.
func (f *Fleet) next() (wait time.Duration, do errand) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.noLocks != "" {
		return time.Until(f.retryAt), errandLook
	}
	if wait := time.Until(f.dialAt); wait > 0 && len(f.spares()) > 0 {
		return min(wait, time.Minute), errandNone
	}
	if len(f.sessions) == 0 {
		if wait := time.Until(f.blindAt); wait > 0 {
			return wait, errandNone
		}
		return time.Minute, errandNone // woken by what changes
	}
	look := time.Until(f.lastLook.Add(f.lookPause()))
	if probe := time.Until(f.lastProbe.Add(f.probePause())); probe < look && !f.alarm {
		return probe, errandProbe
	}
	return look, errandLook
}

// lookPause is the time between two looks.
func (f *Fleet) lookPause() time.Duration {
	switch {
	case f.woken && f.promising(), f.owing() > 0 && len(f.sessions) == 1:
		return f.interval() / 8
	case f.give > 0 || f.owing() > 0 || f.free() < 0 || f.lacking() > 0 || f.absent() > 0 || f.alarm:
		return f.interval()
	case f.present().Plenty() < 0 || f.demand > len(f.sessions) || f.keep > f.owned():
		return f.steadyInterval()
	}
	return f.calmInterval()
}

// probePause is the time between two questions whether somebody lacks something. All
// together stay under a hundred a second, and an alarm is heard while it lasts.
func (f *Fleet) probePause() time.Duration {
	pause := f.interval() // it may have what others lack
	if f.demand <= len(f.sessions) {
		pause = max(4*f.opts.Interval, 2*pause)
	}
	return min(pause, alarmTurn)
}

// promising reports whether an early look may help: to say that there is more
// demand, to take what was free, or to have a look at all. When one has brought
// nothing, the next ones keep to the usual time.
func (f *Fleet) promising() bool {
	return f.failing || time.Now().After(f.hush) && (f.demand < f.max || f.view.Free > 0 && f.demand > len(f.sessions))
}

// interval is the time between two looks of a replica that lacks something. It
// grows with the fleet, so that all looks together stay under a hundred a second.
func (f *Fleet) interval() time.Duration {
	return max(f.opts.Interval, time.Duration(len(f.view.Members))*10*time.Millisecond)
}

// steadyInterval is the time between two looks of a replica that could use more
// than its fair share: at most 25 a second in all.
func (f *Fleet) steadyInterval() time.Duration {
	return max(4*f.opts.Interval, time.Duration(len(f.view.Members))*40*time.Millisecond)
}

// calmInterval is the time between two looks of a replica that has all it could
// use: at most ten a second in all.
func (f *Fleet) calmInterval() time.Duration {
	return max(40*f.opts.Interval, time.Duration(len(f.view.Members))*100*time.Millisecond)
}

// fullInterval is how old the limits and the number of others' sessions may
// become. Asking for them costs ten times a glance.
func (f *Fleet) fullInterval() time.Duration { return max(60*f.opts.Interval, 10*f.steadyInterval()) }

// calm reports whether nobody is short of anything, or gone for a moment.
func (f *Fleet) calm() bool {
	return f.give == 0 && f.absent() == 0 && f.lacking() <= 0 && f.present().Plenty() >= 0
}

// present is what was seen, at this moment of the server's clock: what does not
// divide evenly may have gone round since.
func (f *Fleet) present() View {
	v := f.view
	v.Clock += time.Since(f.viewAt)
	return v
}
