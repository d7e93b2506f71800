package monitor

import (
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"time"
)

// eventsKept bounds the memory of recent events.
const eventsKept = 64

// eventRing keeps the latest events. The zero value is empty.
type eventRing struct {
	kept [eventsKept]statusjson.Event
	seq  uint64 // of the latest; 0 when there is none
}

func (r *eventRing) add(at time.Time, kind statusjson.EventKind, sev statusjson.Severity, message string) {
	r.seq++
	r.kept[r.seq%eventsKept] = statusjson.Event{Seq: r.seq, At: at, Kind: kind, Severity: sev, Message: message}
}

// latest returns the events kept, newest first. Never nil.
func (r *eventRing) latest() []statusjson.Event {
	n := min(r.seq, eventsKept)
	out := make([]statusjson.Event, 0, n)
	for i := range n {
		out = append(out, r.kept[(r.seq-i)%eventsKept])
	}
	return out
}
