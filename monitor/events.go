package monitor

import (
	"cmp"
	"slices"
	"time"

	"github.com/dbpool-go/dbpool/internal/flap"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

const (
	// eventsKept and severeKept bound the memory of recent events. Warnings and
	// worse have a place of their own, so that no crowd of all-clears drives them out.
	eventsKept = 64
	severeKept = 128
)

// eventRing keeps the latest events. The zero value is empty.
type eventRing struct {
	info, severe []event // by Seq
	seq          uint64  // of the latest; 0 when there is none
}

// event is one, and what it is about where several of its kind flap apart.
type event struct {
	statusjson.Event
	topic string
}

// flaps reports whether events of that kind come and go with a figure.
func flaps(kind statusjson.EventKind) bool {
	switch kind {
	case statusjson.EventUsageHigh, statusjson.EventUsageNormal, statusjson.EventServerUsageHigh, statusjson.EventServerUsageNormal,
		statusjson.EventDiagnosis, statusjson.EventTimeouts, statusjson.EventShedding, statusjson.EventPressureOver,
		statusjson.EventHealth, statusjson.EventServerGrants, statusjson.EventServerFull, statusjson.EventServerRefuses, statusjson.EventBroken:
		return true
	}
	return false
}

// add keeps an event. One of a flapping kind that happened a moment ago already
// is counted.
func (r *eventRing) add(at time.Time, kind statusjson.EventKind, topic string, sev statusjson.Severity, message string) {
	list, most := &r.info, eventsKept
	if sev != statusjson.SeverityInfo {
		list, most = &r.severe, severeKept
	}
	r.seq++
	e := event{statusjson.Event{Seq: r.seq, At: at, Kind: kind, Severity: sev, Message: message}, topic}
	if flaps(kind) {
		if i := slices.IndexFunc(*list, func(old event) bool {
			return old.Kind == kind && old.topic == topic && at.Sub(last(old.Event)) < flap.Within
		}); i >= 0 {
			old := (*list)[i]
			e.At, e.LastAt, e.Count = old.At, at, max(old.Count, 1)+1
			*list = slices.Delete(*list, i, i+1)
		}
	}
	if len(*list) == most {
		*list = slices.Delete(*list, 0, 1)
	}
	*list = append(*list, e)
}

// last is when an event happened last.
func last(e statusjson.Event) time.Time {
	if e.LastAt.IsZero() {
		return e.At
	}
	return e.LastAt
}

// latest returns the events kept, newest first. Never nil.
func (r *eventRing) latest() []statusjson.Event {
	out := make([]statusjson.Event, 0, len(r.info)+len(r.severe))
	for _, e := range slices.Concat(r.info, r.severe) {
		out = append(out, e.Event)
	}
	slices.SortFunc(out, func(a, b statusjson.Event) int { return cmp.Compare(b.Seq, a.Seq) })
	return out
}
