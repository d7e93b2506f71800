package monitor

import "time"

// eventsKept bounds the memory of recent events.
const eventsKept = 64

// eventRing keeps the latest events. The zero value is empty.
type eventRing struct {
	kept [eventsKept]Event
	seq  uint64 // of the latest; 0 when there is none
}

func (r *eventRing) add(at time.Time, kind EventKind, sev Severity, message string) {
	r.seq++
	r.kept[r.seq%eventsKept] = Event{Seq: r.seq, At: at, Kind: kind, Severity: sev, Message: message}
}

// latest returns the events kept, newest first. Never nil.
func (r *eventRing) latest() []Event {
	n := min(r.seq, eventsKept)
	out := make([]Event, 0, n)
	for i := range n {
		out = append(out, r.kept[(r.seq-i)%eventsKept])
	}
	return out
}
