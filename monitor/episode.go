package monitor

import (
	"time"

	"github.com/dbpool-go/dbpool/internal/flap"
)

// quietAfter ends an episode.
const quietAfter = 30 * time.Second

// episode turns a counter that rises into a beginning and an end: it begins with
// the first rise and ends when the counter has stood still for quietAfter.
type episode struct {
	on    bool
	since time.Time
	count uint64 // rises in this episode
	last  time.Time
	told  flap.State

	served uint64 // what the counter of those who were served said at the last rise
}

// update takes how much the counter rose and reports what that began or ended.
func (e *episode) update(now time.Time, rise uint64) (began, ended bool) {
	if rise > 0 {
		began = !e.on
		if began {
			e.on, e.since, e.count = true, now, 0
		}
		e.count += rise
		e.last = now
		return began, false
	}
	if e.on && now.Sub(e.last) >= quietAfter {
		e.on = false
		return false, true
	}
	return false, false
}
