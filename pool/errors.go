package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What callers branch on, with errors.Is. Each comes wrapped in a typed error
// that carries the numbers: AcquireError for the first three.
var (
	// ErrPoolTimeout: no connection within Config.PoolTimeout or the caller's
	// own deadline. It also satisfies errors.Is(err, context.DeadlineExceeded).
	ErrPoolTimeout = errors.New("pool: no connection in time")
	// ErrOverloaded: refused at once, because the wait would have been longer
	// than the caller can wait, or because Config.MaxWaiters already wait.
	ErrOverloaded = errors.New("pool: overloaded")
	// ErrServerFull: no connection in time, and the server refuses new ones.
	// It satisfies errors.Is(err, ErrPoolTimeout) as well.
	ErrServerFull = errors.New("pool: server full")
	// ErrNested: refused, because the caller already holds a connection of
	// this pool and would wait for itself. Only with WithNestedRefused.
	ErrNested = errors.New("pool: nested acquisition refused")
	// ErrReclaimed: the connection was taken away from a holder that had left
	// it without a statement for too long. Only with WithReclaim.
	ErrReclaimed = errors.New("pool: connection reclaimed: it was held without a running statement for longer than WithReclaim allows")
	// ErrClosed: the pool is closed or shutting down.
	ErrClosed = errors.New("pool: closed")
)

// Verdict is the most likely cause of a failed acquisition.
type Verdict string

// The verdicts. The README's troubleshooting has a section for each.
const (
	VerdictLeak       Verdict = "leak"
	VerdictSlow       Verdict = "slow queries"
	VerdictSmall      Verdict = "pool too small"
	VerdictServerFull Verdict = "server full"
	VerdictServerDown Verdict = "server unreachable"
	VerdictNested     Verdict = "nested acquisition"
)

// AcquireError says why no connection could be had, with the pool's figures at
// that moment. errors.Is finds its Kind.
type AcquireError struct {
	Kind          error         // ErrPoolTimeout, ErrOverloaded, ErrServerFull or ErrNested
	Waited        time.Duration // how long the caller was queued
	PredictedWait time.Duration // for ErrOverloaded: how long it would have had to wait
	Verdict       Verdict       // the most likely cause; empty for ErrOverloaded
	Stats         Stats         // the pool at that moment
	Holders       []Holder      // the longest holders, oldest first
	Outer         *Holder       // for a nested acquisition: what the caller already holds
	Caller        string        // file:line that asked
}

// Error is one line: what happened, the figures, the oldest holder, the verdict.
func (e *AcquireError) Error() string {
	var b strings.Builder
	s := e.Stats
	fmt.Fprintf(&b, "pool %q: ", s.Name)
	switch {
	case errors.Is(e.Kind, ErrOverloaded) && e.PredictedWait > 0:
		fmt.Fprintf(&b, "overloaded: the wait would be about %s", e.PredictedWait.Round(time.Millisecond))
	case errors.Is(e.Kind, ErrOverloaded):
		b.WriteString("overloaded: the queue is full")
	case errors.Is(e.Kind, ErrNested):
		b.WriteString("nested acquisition refused")
	default:
		fmt.Fprintf(&b, "no connection within %s", e.Waited.Round(time.Millisecond))
	}
	fmt.Fprintf(&b, " (size %d, overflow %d, in use %d, idle %d, dialing %d, closing %d, waiting %d",
		s.PoolSize, s.MaxOverflow, s.InUse, s.Idle, s.Dialing, s.Closing, s.Waiting)
	if len(e.Holders) > 0 {
		fmt.Fprintf(&b, "; oldest held %s", e.Holders[0])
	}
	if e.Outer != nil {
		fmt.Fprintf(&b, "; this caller already holds one: %s", e.Outer)
	}
	if d := s.LastDialError; d != nil {
		fmt.Fprintf(&b, "; last dial error %s ago: %s", s.At.Sub(d.At).Round(time.Millisecond), d.Message)
	}
	b.WriteString(")")
	if e.Verdict != "" {
		fmt.Fprintf(&b, "; verdict: %s", e.Verdict)
	}
	return b.String()
}

// Unwrap makes errors.Is find Kind, and for timeouts also
// context.DeadlineExceeded and (for ErrServerFull) ErrPoolTimeout.
func (e *AcquireError) Unwrap() []error {
	switch e.Kind {
	case ErrServerFull:
		return []error{ErrServerFull, ErrPoolTimeout, context.DeadlineExceeded}
	case ErrPoolTimeout:
		return []error{ErrPoolTimeout, context.DeadlineExceeded}
	default:
		return []error{e.Kind}
	}
}

// Timeout reports whether the caller ran out of time, as net.Error does.
func (e *AcquireError) Timeout() bool { return errors.Is(e, ErrPoolTimeout) }

// RetryAfter is an honest guess of when asking again may succeed, at least one second.
func (e *AcquireError) RetryAfter() time.Duration {
	return max(e.PredictedWait.Round(time.Second), time.Second)
}

// DialError is a failed attempt to open a connection. It never holds a password.
type DialError struct {
	At       time.Time
	SQLState string // PostgreSQL's code, such as "53300"; empty when no server answered
	Reason   string // "server full", "reserved slots", "role limit", "database limit", "starting up", "authentication", "no such database", "unreachable", …
	Message  string // the server's or the network's own words, without secrets
	Remedy   string // what to do about it
	err      error
}

// Error is "dial: " and the server's own words, then the remedy.
func (e *DialError) Error() string {
	if e.Remedy == "" {
		return "dial: " + e.Message
	}
	return "dial: " + e.Message + "; " + e.Remedy
}

// Unwrap is the driver's error, such as *pgconn.PgError.
func (e *DialError) Unwrap() error { return e.err }
