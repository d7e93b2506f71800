package statusjson

import "time"

// TaskFigures are the background tasks of the pool, with or without a
// connection: Shutdown waits for all of them.
type TaskFigures struct {
	RunningCount int    `json:"running_count"` // running now
	StartedCount uint64 `json:"started_count"` // ever started
	FailedCount  uint64 `json:"failed_count"`  // of those, ended with an error, panics included
	PanicCount   uint64 `json:"panic_count"`   // of those, panicked
	RefusedCount uint64 `json:"refused_count"` // not started, because the pool was shutting down

	Running []RunningTask `json:"running"` // the oldest 20, oldest first
}

// RunningTask is a background task that has not ended.
type RunningTask struct {
	Name           string    `json:"name"`
	Since          time.Time `json:"since"`
	RunningSeconds float64   `json:"running_seconds"`
}
