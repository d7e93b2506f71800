package source

import (
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// Snapshot is one answer of one service, or why there is none. Every text in it
// is fit for a terminal.
type Snapshot struct {
	Target string        // Target.Name
	At     time.Time     // when it was asked, by this machine's clock
	Took   time.Duration // how long the answer took

	Failure *Failure                 // why there is no answer; nil when there is one
	Health  *statusjson.HealthReport // what /health says; nil only with Failure
	Status  *statusjson.Status       // nil when only /health could be had
	Notes   []string                 // what the reader should know about this answer
}

// Failure says why a service could not be watched, in one line.
type Failure struct {
	What   string // what happened
	Remedy string // what to do about it
}

// Error is what happened and what to do.
func (t *Failure) Error() string {
	if t.Remedy == "" {
		return t.What
	}
	return t.What + "; " + t.Remedy
}
