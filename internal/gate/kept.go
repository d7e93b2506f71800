package gate

import "time"

// kept is the place that is kept for a monitor, so that it can ask the server
// what is wrong while every other connection waits for it. PostgreSQL keeps
// slots for superusers for the same reason.
//
// The place is lent to callers who need it while nothing is wrong: all other
// connections are in use, none has come back for a while, and the server, asked
// just now, says that they wait for no lock. All fields are guarded by Gate.mu.
type kept struct {
	until time.Time // a monitor was heard of; zero when none was
	lent  bool
}

const (
	// leastForKept is the limit from which one place is kept: of fewer it would be too large a part.
	leastForKept = 5
	// KeptFor is for how long a place is kept after the monitor was heard of last.
	KeptFor = time.Minute
	// LendAfter is for how long no connection must have come back.
	LendAfter = time.Second
)

// keptLocked is how many places callers may not have.
func (g *Gate) keptLocked() int {
	if g.kept.until.IsZero() || g.kept.lent || g.limit < leastForKept {
		return 0
	}
	return 1
}

// callersLocked is how many connections requests and background work hold.
func (g *Gate) callersLocked() int { return g.heldBy[Request] + g.heldBy[Background] }

// KeepPlace notes that a monitor is at work, or not any more.
func (g *Gate) KeepPlace(yes bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !yes {
		g.kept = kept{}
		g.dispatchLocked(now)
		return
	}
	g.kept.until = now.Add(KeptFor)
}

// ForgetMonitor gives callers the place of a monitor that was not heard of for long.
func (g *Gate) ForgetMonitor(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kept.until.IsZero() || now.Before(g.kept.until) {
		return
	}
	g.kept = kept{}
	g.dispatchLocked(now)
}

// WantsKept reports whether callers wait for the kept place alone, and nothing
// else has come back for a while.
func (g *Gate) WantsKept(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.keptLocked() > 0 && g.waiting > 0 && g.callersLocked() >= g.limit-1 && now.Sub(g.forecast.last) >= LendAfter
}

// Lend lets callers have the kept place, or takes it back when it comes back.
func (g *Gate) Lend(yes bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kept.lent = yes
	g.dispatchLocked(now)
}

// endLoanLocked keeps the place again once callers do not need it.
func (g *Gate) endLoanLocked() {
	if g.kept.lent && g.waiting == 0 && g.callersLocked() < g.limit-1 {
		g.kept.lent = false
	}
}
