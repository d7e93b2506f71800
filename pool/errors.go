package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/fleet"
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
	// ErrServerFull: no connection in time, and the server refuses new ones, or
	// the fleet's budget on it is used up (DB_FLEET=enforce).
	// It satisfies errors.Is(err, ErrPoolTimeout) as well.
	ErrServerFull = errors.New("pool: server full")
	// ErrNested: refused, because the caller already holds a connection of
	// this pool and would wait for itself. Only with DB_NESTED=refuse.
	ErrNested = errors.New("pool: nested acquisition refused")
	// ErrReclaimed: the connection was taken away from a holder that had left
	// it without a statement for too long. Only with DB_RECLAIM_AFTER.
	ErrReclaimed = errors.New("pool: connection reclaimed: it was held without a running statement for longer than DB_RECLAIM_AFTER allows")
	// ErrClosed: the pool is closed or shutting down.
	ErrClosed = errors.New("pool: closed")
)

// Verdict is the most likely cause of a failed acquisition.
type Verdict string

// The verdicts. docs/troubleshooting.md has a section for each.
const (
	VerdictLeak       Verdict = "leak"               // most holders have had their connection since before the caller asked, and run nothing
	VerdictSlow       Verdict = "slow queries"       // most holders have had their connection since before the caller asked, and run statements
	VerdictSmall      Verdict = "pool too small"     // connections come and go, but not fast enough for everybody
	VerdictServerFull Verdict = "server full"        // the server refuses this role or database more sessions, or the fleet's budget is used up
	VerdictServerDown Verdict = "server unreachable" // no new connections can be had for another reason
	VerdictNested     Verdict = "nested acquisition" // the caller itself holds a connection
)

// Remedy is what to do about it, in one sentence.
func (v Verdict) Remedy() string {
	switch v {
	case VerdictLeak:
		return "close rows and end transactions on every path of the holders"
	case VerdictSlow:
		return "make the holders' statements faster, or lower DB_STATEMENT_TIMEOUT"
	case VerdictSmall:
		return "raise DB_POOL_SIZE or DB_MAX_OVERFLOW if the server has room, or send it less"
	case VerdictServerFull:
		return "give every replica a part of what the server allows, or raise its limit"
	case VerdictServerDown:
		return "check that the server runs and is reachable"
	case VerdictNested:
		return "pass on the session that holds the first connection instead of asking for another"
	}
	return ""
}

// AcquireError says why no connection could be had, with the pool's figures at
// that moment. errors.Is finds its Kind.
type AcquireError struct {
	Kind          error         // ErrPoolTimeout, ErrOverloaded, ErrServerFull or ErrNested
	Lane          Lane          // in which the caller asked
	Waited        time.Duration // how long the caller was queued
	Patience      time.Duration // how long it could have been: Config.PoolTimeout, or less by the caller's own deadline
	PredictedWait time.Duration // for ErrOverloaded: how long it would have had to wait; 0 when that is not known
	QueueFull     bool          // for ErrOverloaded: Config.MaxWaiters waited already
	Verdict       Verdict       // the most likely cause; empty for ErrOverloaded
	Stats         Stats         // the pool at that moment
	Holders       []Holder      // the longest holders, oldest first
	Outer         *Holder       // for a nested acquisition: what the caller already holds
	Caller        string        // file:line that asked
}

// Error is one line: what happened, the figures, the oldest holders, the
// verdict and its remedy.
func (e *AcquireError) Error() string {
	var b strings.Builder
	s := e.Stats
	fmt.Fprintf(&b, "pool %q: %s (size %d, overflow %d, in use %d, idle %d, dialing %d, closing %d, waiting %d",
		s.Name, e.what(), s.PoolSize, s.MaxOverflow, s.InUse, s.Idle, s.Dialing, s.Closing, s.Waiting)
	if f := s.Fleet; f.Mode == config.FleetEnforce && s.Limit < s.MaxOpen() {
		fmt.Fprintf(&b, "; the fleet's budget leaves it %d now, of %d for %s", s.Limit, f.Usable, fleet.Count(f.Replicas, "replica"))
	}
	for i, h := range e.Holders {
		b.WriteString([]string{"; oldest held ", ", then "}[min(i, 1)] + h.String())
	}
	if e.Outer != nil {
		fmt.Fprintf(&b, "; this caller (%s) already holds one: %s", e.Caller, e.Outer)
	}
	if d := s.LastDialError; d != nil {
		since := ""
		if s.Server.OK {
			since = ", before others succeeded"
		}
		fmt.Fprintf(&b, "; last dial error %s ago%s: %s", s.At.Sub(d.At).Round(time.Millisecond), since, d.Message)
	}
	b.WriteString(")")
	switch {
	case e.Verdict != "":
		fmt.Fprintf(&b, "; verdict: %s; %s", e.Verdict, e.remedy())
	case e.Kind == ErrOverloaded:
		fmt.Fprintf(&b, "; ask again in %s; if this is no passing peak, %s", e.RetryAfter(), VerdictSmall.Remedy())
	}
	return b.String()
}

// remedy is the verdict's, or what the server's own words suggest.
func (e *AcquireError) remedy() string {
	if d := e.Stats.LastDialError; d != nil && d.Remedy != "" && !e.Stats.Server.OK && (e.Verdict == VerdictServerFull || e.Verdict == VerdictServerDown) {
		return d.Remedy
	}
	return e.Verdict.Remedy()
}

// what happened, in a few words.
func (e *AcquireError) what() string {
	var wait string
	if e.PredictedWait > 0 {
		wait = fmt.Sprintf(", the wait would be about %s", roundedWait(e.PredictedWait))
	}
	switch {
	case e.Kind == ErrOverloaded && e.QueueFull:
		return "overloaded: as many callers wait as DB_MAX_WAITERS allows" + wait
	case e.Kind == ErrOverloaded:
		return fmt.Sprintf("overloaded: no connection early enough for a caller with %s left%s", roundedWait(e.Patience-e.Waited), wait)
	case e.Kind == ErrNested:
		return "nested acquisition refused"
	}
	return fmt.Sprintf("no connection within %s%s", e.Waited.Round(time.Millisecond), e.bound())
}

func roundedWait(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

// bound says what else bounds the caller's lane.
func (e *AcquireError) bound() string {
	if e.Lane != LaneBackground {
		return ""
	}
	return fmt.Sprintf(" for background work, which has %d of the %d that it may have", e.Stats.Lanes[LaneBackground].InUse, backgroundCap(e.Stats.Limit))
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
