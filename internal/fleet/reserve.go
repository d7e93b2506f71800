package fleet

import (
	"slices"
	"time"
)

// reserve sets tokens aside for replicas that are not there: for each that was
// a moment ago and comes back, for each that is expected (DB_FLEET_REPLICAS), and
// for a crowd that is joining. They dial without a token, so what is theirs must
// not be another's by then: the others would fill the server and leave them no slot
// to come by. A fleet that is too large has turns instead.
func (f *Fleet) reserve() {
	f.notice(time.Now())
	if len(f.known) <= f.view.Budget {
		aside := min(max(f.absent(), f.expectedMissing(), f.crowd()), f.view.Budget)
		f.view.Budget -= aside
		f.view.Free -= aside
	}
}

// absent is how many replicas are waited for.
func (f *Fleet) absent() int { return len(f.known) - len(f.view.Members) }

// expectedMissing is how many of the replicas that were declared are not there.
func (f *Fleet) expectedMissing() int {
	return max(0, min(f.opts.Replicas, f.plan.Tokens)-len(f.view.Members))
}

// crowdTime is how long a replica counts as one that has just joined.
const crowdTime = 3 * time.Second

// crowd is how many replicas are likely to join within a moment: as many again as
// have just done so, if that was more than one, and at most a quarter of the budget.
func (f *Fleet) crowd() int {
	if len(f.arrived) < 2 || len(f.view.Members) <= max(f.expected, f.opts.Replicas) {
		return 0 // those that start together, or come back, are restrained already; see ceiling
	}
	return min(len(f.arrived), f.view.Budget/4)
}

// noteArrivals notes who is there for the first time. At its own first look a replica knows
// of nobody, so nobody is new, and those that come just after it started with it.
func (f *Fleet) noteArrivals(now time.Time) {
	f.arrived = slices.DeleteFunc(f.arrived, func(at time.Time) bool { return now.Sub(at) > crowdTime })
	if now.Sub(f.rejoined) < settleTime {
		return
	}
	for _, m := range f.view.Members {
		if _, ok := f.known[m.ID]; !ok && f.known != nil && m.ID != f.id {
			f.arrived = append(f.arrived, now)
		}
	}
}

// notice keeps known up to date. Looks may be far apart, so a replica is missed
// from the first look that does not show it, not from the last that did.
func (f *Fleet) notice(now time.Time) {
	f.noteArrivals(now)
	here := map[uint32]time.Time{}
	for _, m := range f.view.Members {
		here[m.ID] = time.Time{}
	}
	patience := comeBack(len(f.known)) + 2*f.interval() // one for the look it is waiting for, one for the dial
	for id, missed := range f.known {
		if missed.IsZero() {
			missed = now
		}
		if _, ok := here[id]; !ok && now.Sub(missed) < patience {
			here[id] = missed
		}
	}
	f.known = here
}

// comeBack is the longest that each of so many replicas waits before it comes back.
func comeBack(members int) time.Duration {
	return min(2*time.Second, time.Duration(members)*10*time.Millisecond)
}
