package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// What callers branch on, with errors.Is. Each comes wrapped in a typed error
// that carries the numbers: AcquireError for the first three.
var (
	// ErrPoolTimeout: no connection within Config.PoolTimeout or the caller's
	// own deadline. It also satisfies errors.Is(err, context.DeadlineExceeded).
	ErrPoolTimeout = gate.ErrTimeout
	// ErrOverloaded: refused at once, because the wait would have been longer
	// than the caller can wait, or because Config.MaxWaiters already wait.
	ErrOverloaded = gate.ErrOverloaded
	// ErrServerFull: no connection in time, and the server refuses new ones, or
	// the fleet's budget on it is used up (DB_FLEET=enforce).
	// It satisfies errors.Is(err, ErrPoolTimeout) as well.
	ErrServerFull = errors.New("pool: server full")
	// ErrNested: refused, because the caller already holds a connection of
	// this pool and would wait for itself. Only with DB_NESTED=refuse.
	ErrNested = errors.New("pool: nested acquisition refused")
	// ErrReclaimed: the connection was taken away from a holder that had left
	// it without a statement for too long: as DB_RECLAIM_AFTER says, or 5 s after
	// the context of its rows or its transaction had ended.
	ErrReclaimed = connstate.ErrReclaimed
	// ErrTransactionEnded is returned by the commit, and the rollback, of a
	// transaction that its own work has ended: with COMMIT, ROLLBACK or PREPARE
	// TRANSACTION as SQL. What the work did before is committed or lost, as that
	// statement said; each statement after it was committed by itself.
	ErrTransactionEnded = pgdriver.ErrTransactionEnded
	// ErrClosed: the pool is closed or shutting down.
	ErrClosed = gate.ErrClosed
)

// Verdict is the most likely cause of a failed acquisition.
type Verdict string

// The verdicts. docs/troubleshooting.md has a section for each; internal/diagnosis gives them.
const (
	VerdictLock       Verdict = "lock"                // most holders wait for a lock, as ObserveServer was told
	VerdictLeak       Verdict = "leak"                // most holders have had their connection since before the caller asked, and run nothing
	VerdictSlow       Verdict = "slow queries"        // most holders run statements for about as long as callers wait
	VerdictSmall      Verdict = "pool too small"      // connections come and go, but not fast enough for everybody
	VerdictBackground Verdict = "background work"     // background work has all the connections that it may have
	VerdictNested     Verdict = "nested acquisition"  // the caller itself holds a connection
	VerdictShare      Verdict = "fleet share"         // the fleet's budget leaves this replica too few
	VerdictServerFull Verdict = "server full"         // the server refuses this role or database more sessions
	VerdictNeighbour  Verdict = "neighbour"           // the same, and another application has most of the sessions
	VerdictRejected   Verdict = "connection rejected" // each new connection is refused for a password, a certificate or a setting
	VerdictServerDown Verdict = "server unreachable"  // no new connections can be had for another reason
	VerdictServerHung Verdict = "server hung"         // the server is connected and does not answer
)

// NoCapacity reports whether the server, or the fleet's budget on it, has no
// room for the connections that the pool may have by its own settings.
func (v Verdict) NoCapacity() bool {
	return v == VerdictServerFull || v == VerdictNeighbour || v == VerdictShare
}

// Blocked reports whether the connections that callers wait for do not come back
// by themselves.
func (v Verdict) Blocked() bool {
	return v == VerdictLock || v == VerdictLeak || v == VerdictNested || v == VerdictServerHung
}

// NoServer reports whether the server cannot be reached, does not answer, or lets
// this pool in no more.
func (v Verdict) NoServer() bool {
	return v == VerdictServerDown || v == VerdictServerHung || v == VerdictRejected
}

// AcquireError says why no connection could be had, with the pool's figures at
// that moment. errors.Is finds its Kind.
type AcquireError struct {
	Kind          error         // ErrPoolTimeout, ErrOverloaded, ErrServerFull or ErrNested
	Lane          Lane          // in which the caller asked
	Waited        time.Duration // how long the caller was queued
	Patience      time.Duration // how long it could have been: Config.PoolTimeout, or less by the caller's own deadline
	PredictedWait time.Duration // for ErrOverloaded: how long it would have had to wait; 0 when that is not known
	PredictedWork time.Duration // for ErrOverloaded: how long its work was taken to last after that; 0 when it had no deadline of its own
	QueueFull     bool          // for ErrOverloaded: Config.MaxWaiters waited already
	Verdict       Verdict       // the most likely cause
	Diagnosis     Diagnosis     // the cause in a sentence: who, since when, what to do
	Stats         Stats         // the pool at that moment, without the list of running tasks
	Holders       []Holder      // the longest holders, oldest first
	Outer         *Holder       // for a nested acquisition: what the caller already holds
	Caller        string        // file:line that asked
}

// Error is one line: what happened, the figures, the oldest holders, the
// verdict and the diagnosis.
func (e *AcquireError) Error() string {
	var b strings.Builder
	s := e.Stats
	fmt.Fprintf(&b, "pool %q: %s (size %d, overflow %d, in use %d, idle %d, dialing %d, closing %d, waiting %d",
		s.Name, e.what(), s.PoolSize, s.MaxOverflow, s.InUse, s.Idle, s.Dialing, s.Closing, s.Waiting)
	switch f := s.Fleet; {
	case f.Mode != config.FleetEnforce || s.Limit >= s.MaxOpen():
	case f.Usable == 0 && f.Replicas == 0:
		b.WriteString("; the fleet's budget is not known yet: this replica has had no connection")
	default:
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
	if e.Kind == ErrOverloaded {
		fmt.Fprintf(&b, "; ask again in %s", e.RetryAfter())
	}
	if e.Verdict != "" {
		fmt.Fprintf(&b, "; verdict: %s; %s", e.Verdict, e.Diagnosis.Sentence)
	}
	return b.String()
}

// what happened, in a few words.
func (e *AcquireError) what() string {
	var wait string
	if e.PredictedWait > 0 {
		wait = fmt.Sprintf(", the wait would be about %s", roundedWait(e.PredictedWait))
	}
	switch {
	case e.Kind == ErrOverloaded && e.QueueFull:
		return fmt.Sprintf("overloaded: as many %s wait as DB_MAX_WAITERS allows%s", lanePlural(e.Lane), wait)
	case e.Kind == ErrOverloaded:
		return fmt.Sprintf("overloaded: no connection early enough for a caller with %s left%s%s", roundedWait(e.Patience-e.Waited), wait, e.work())
	case e.Kind == ErrNested:
		return "nested acquisition refused"
	}
	return fmt.Sprintf("no connection within %s%s", e.Waited.Round(time.Millisecond), e.bound())
}

func lanePlural(l Lane) string {
	if l == LaneBackground {
		return "background tasks"
	}
	return "callers"
}

// work is what the work itself was taken to need of the time left.
func (e *AcquireError) work() string {
	if e.PredictedWork == 0 {
		return ""
	}
	return fmt.Sprintf(" and its work may take %s", roundedWait(e.PredictedWork))
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
	return fmt.Sprintf(" for background work, which has %d of the %d that it may have", e.Stats.Lanes[LaneBackground].InUse, gate.BackgroundCap(e.Stats.Limit))
}

// closedError is ErrClosed with the pool's name.
type closedError struct{ pool string }

func (e *closedError) Error() string { return fmt.Sprintf("pool %q: closed", e.pool) }

// Unwrap makes errors.Is find ErrClosed.
func (e *closedError) Unwrap() error { return ErrClosed }

// errClosed says that this pool is closed.
func (p *Pool) errClosed() error { return &closedError{p.cfg.Name} }

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

// RetryAfter is an honest guess of when asking again may succeed, in whole seconds, at
// least one.
func (e *AcquireError) RetryAfter() time.Duration {
	return max(e.PredictedWait.Round(time.Second), time.Second)
}

// RetryAfter reports whether the same work may succeed if it is tried again, and
// after how long, in whole seconds, at least one: when err says that the pool or the server
// had no room (ErrPoolTimeout, ErrOverloaded, ErrServerFull), or that the server
// rolled back because of what ran beside it (SQLSTATE class 40). Otherwise, and for
// nil, ok is false. Middleware and the adapters for frameworks answer by it.
func RetryAfter(err error) (wait time.Duration, ok bool) {
	if !saturated(err) && !repeatable(err) {
		return 0, false
	}
	var refused *AcquireError
	if errors.As(err, &refused) {
		return refused.RetryAfter(), true
	}
	return time.Second, true
}

// DialError is a failed attempt to open a connection. It never holds a password.
type DialError struct {
	At       time.Time
	SQLState string // PostgreSQL's code, such as "53300"; empty when no server answered
	Reason   Reason // in a few fixed words
	Message  string // the server's or the network's own words, without secrets
	Remedy   string // what to do about it
	// Permanent: trying again cannot help until something is set right, such as a
	// password, a certificate or the name of the database.
	Permanent bool
	err       error
}

// newDialError describes a failed dial.
func newDialError(f dial.Failure, now time.Time) *DialError {
	return &DialError{At: now, SQLState: f.SQLState, Reason: Reason(f.Reason), Message: f.Message, Remedy: f.Remedy, Permanent: f.Permanent, err: f.Cause}
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
