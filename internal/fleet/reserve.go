package fleet

import "time"

// reserve sets a token aside for each replica that was there a moment ago and
// comes back. It dials without a token, so what it lost must not be another's
// by then: the others would fill the server and leave it no slot to come by. A
// fleet that is too large has turns instead.
func (f *Fleet) reserve() {
	f.notice(time.Now())
	if len(f.known) <= f.view.Budget {
		f.view.Budget -= f.absent()
		f.view.Free -= f.absent()
	}
}

// absent is how many replicas are waited for.
func (f *Fleet) absent() int { return len(f.known) - len(f.view.Members) }

// notice keeps known up to date. Looks may be far apart, so a replica is missed
// from the first look that does not show it, not from the last that did.
func (f *Fleet) notice(now time.Time) {
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
