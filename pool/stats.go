package pool

import (
	"fmt"
	"iter"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// Stats is one snapshot of a pool, taken under one lock, so its figures never
// contradict each other: InUse + Idle + Dialing + Closing is the number of
// sessions this pool has, or may have, on the server, and never exceeds Limit
// (after a shrinking Resize: the former limit, until holders give back).
type Stats struct {
	Name string    // Config.Name
	At   time.Time // when the snapshot was taken

	PoolSize    int // connections kept when idle
	MaxOverflow int // connections beyond PoolSize
	Limit       int // the most connections allowed now: PoolSize + MaxOverflow, or less while a fleet's share says so

	InUse       int // connections held by callers
	Idle        int // connections open and free
	Dialing     int // connections being opened
	Closing     int // connections given up whose server session has not ended yet
	Quarantined int // those of Closing whose end the server has not confirmed within 10s
	Waiting     int // callers queued for a connection
	Kept        int // connections that callers may not have: one is kept for a monitor, see ObserveServer

	Lanes [3]LaneStats // by Lane: probe, request, background
	Tasks TaskStats    // background tasks, those that hold no connection included

	AcquireCount         uint64        // acquisitions that got a connection
	WaitCount            uint64        // of those, how many had to queue
	WaitDuration         time.Duration // total time spent queued, by all callers however they left
	HoldDuration         time.Duration // total time connections were held
	TimeoutCount         uint64        // callers that left with ErrPoolTimeout; probes are none
	ShedCount            uint64        // callers refused at once with ErrOverloaded
	AcquireCanceledCount uint64        // callers whose own context ended while queued
	NestedCount          uint64        // callers that asked for a second connection while holding one, and had to queue or, with DB_NESTED=refuse, were refused

	OpenedCount    uint64      // connections opened
	Closed         ClosedStats // connections closed, by reason
	Ended          EndedStats  // those of Closed.Broken, by what ended them
	CancelCount    uint64      // statements cancelled on the server because their context ended
	DialCount      uint64      // dials attempted
	DialErrorCount uint64      // dials that failed
	LastDialError  *DialError  // the most recent failed dial; nil when none failed

	Server           ServerState      // whether new connections can be had
	StatementTimeout StatementTimeout // whether the server keeps the limit set for statements
	Pooler           string           // "pgbouncer" when a pooler was configured or detected, else ""

	Fleet FleetStats // whether all replicas together fit the server

	Pipeline PipelineStats // statements that shared connections

	Standby *StandbyStats // reads at standbys; nil without Config.ReadURL

	LeakWarningCount uint64 // holders that were warned about for passing Config.LeakThreshold
	Leaking          int    // holders past Config.LeakThreshold now

	Wait Histogram // time from asking for a connection to getting it
	Hold Histogram // time from getting a connection to giving it back
}

// MaxOpen is PoolSize + MaxOverflow.
func (s Stats) MaxOpen() int { return s.PoolSize + s.MaxOverflow }

// Open is the number of connections that are open and usable.
func (s Stats) Open() int { return s.InUse + s.Idle }

// Overflow is how many connections are open beyond PoolSize; negative while
// fewer than PoolSize are open, as SQLAlchemy's figure is.
func (s Stats) Overflow() int { return s.Open() - s.PoolSize }

// Available is how many connections callers can have: Limit, less what is kept
// for a monitor, or those there are while the server has no room for more.
func (s Stats) Available() int {
	return max(s.obtainable()-s.Kept, s.InUse)
}

func (s Stats) obtainable() int {
	if !s.Server.OK && s.Server.Reason.NoCapacity() {
		return min(s.Limit, s.Open()+s.Dialing)
	}
	return s.Limit
}

// Usage is InUse over Available, in percent.
func (s Stats) Usage() float64 {
	if s.Available() <= 0 {
		return 0
	}
	return 100 * float64(s.InUse) / float64(s.Available())
}

// LaneStats is one lane's part of Stats.
type LaneStats struct {
	InUse   int
	Waiting int
}

// ClosedStats counts closed connections by the reason for which they were closed.
type ClosedStats struct {
	Recycled uint64 // older than Config.PoolRecycle, or replaced by Recycle
	Surplus  uint64 // idle beyond PoolSize, or beyond a lowered limit
	Broken   uint64 // the server or the network ended it
	Canceled uint64 // its statement was cancelled and the server did not confirm it in time
	Unclean  uint64 // given back in a state that cannot be reused, such as an open transaction, or reclaimed (DB_RECLAIM_AFTER)
	Shutdown uint64 // the pool was closed
}

// EndedStats counts connections that were ended by the server or the network, or
// given up for what the server did, by what it was. Behind a pooler it is what the
// pooler says.
type EndedStats struct {
	Terminated      uint64 // pg_terminate_backend or a shutdown of the server (57P01)
	Crashed         uint64 // another process of the server crashed (57P02)
	DatabaseDropped uint64 // their database was dropped (57P04)
	IdleSession     uint64 // idle_session_timeout (57P05)
	IdleTransaction uint64 // idle_in_transaction_session_timeout (25P03)
	Transaction     uint64 // transaction_timeout (25P04)
	Conflict        uint64 // a standby's conflict with what it replays (40001)
	OtherError      uint64 // the server ended them with another error
	Silent          uint64 // closed or reset without an error message
	Network         uint64 // the network gave the server's host up
	GivenUp         uint64 // the pool gave them up: no answer came in time
	ReadOnly        uint64 // the pool gave them up: their server takes no writes any more
	Unknown         uint64 // their driver does not say; only with New
}

// All gives the count for each cause, under its name.
func (e EndedStats) All() iter.Seq2[string, uint64] {
	return counts{
		{"terminated", e.Terminated}, {"crashed", e.Crashed}, {"database dropped", e.DatabaseDropped}, {"idle session", e.IdleSession},
		{"idle in transaction", e.IdleTransaction}, {"transaction timeout", e.Transaction}, {"conflict", e.Conflict}, {"other error", e.OtherError},
		{"silent", e.Silent}, {"network", e.Network}, {"given up", e.GivenUp}, {"read-only server", e.ReadOnly}, {"unknown", e.Unknown},
	}.all
}

// endedStats are the gate's counts.
func endedStats(n gate.Ended) EndedStats {
	return EndedStats{
		Terminated: n[connstate.EndTerminated], Crashed: n[connstate.EndCrashed], DatabaseDropped: n[connstate.EndDatabaseDropped],
		IdleSession: n[connstate.EndIdleSession], IdleTransaction: n[connstate.EndIdleTransaction], Transaction: n[connstate.EndTransaction],
		Conflict: n[connstate.EndConflict], OtherError: n[connstate.EndOtherError], Silent: n[connstate.EndSilent], Network: n[connstate.EndNetwork],
		GivenUp: n[connstate.EndGivenUp], ReadOnly: n[connstate.EndReadOnly], Unknown: n[connstate.EndUnknown],
	}
}

// All gives the count for each reason, under its name in metrics.
func (c ClosedStats) All() iter.Seq2[string, uint64] {
	return counts{
		{"recycled", c.Recycled}, {"surplus", c.Surplus}, {"broken", c.Broken}, {"canceled", c.Canceled},
		{"unclean", c.Unclean}, {"shutdown", c.Shutdown},
	}.all
}

// counts are figures with their names, in order.
type counts []struct {
	name string
	n    uint64
}

func (c counts) all(yield func(string, uint64) bool) {
	for _, one := range c {
		if !yield(one.name, one.n) {
			return
		}
	}
}

// Total is the sum over all reasons.
func (c ClosedStats) Total() uint64 {
	return c.Recycled + c.Surplus + c.Broken + c.Canceled + c.Unclean + c.Shutdown
}

// ServerState says whether the server grants new connections.
type ServerState struct {
	OK     bool
	Reason Reason    // when not OK: why; empty while OK
	Since  time.Time // when the present state began
}

// StatementTimeout says how Config.StatementTimeout is kept.
type StatementTimeout struct {
	Want    time.Duration // Config.StatementTimeout
	InForce bool          // verified on the server when connections were opened; what a caller's text changes is reset before the next use
	How     string        // "startup parameter", "role or database setting", "transactions only", "not checked yet", "not in force"
}

// Holder is a connection in use: who holds it, for how long, doing what.
type Holder struct {
	Lane     Lane
	Name     string        // route or background task; empty when unknown
	Caller   string        // file:line that asked for the connection, outside this library
	Held     time.Duration // since it was handed out
	Activity string        // "running", "listening", "rows open", "idle in transaction", "idle"
	PID      uint32        // the server process; 0 when unknown
	Stack    []string      // the frames that asked, innermost first, from outside this library on, each "function file:line"
	Leaking  bool          // held past Config.LeakThreshold
}

// String returns one line such as "12m0s by api/report.go:88 (GET /report), idle in transaction".
func (h Holder) String() string {
	name := ""
	if h.Name != "" {
		name = " (" + h.Name + ")"
	}
	return fmt.Sprintf("%s by %s%s, %s", h.Held.Round(time.Millisecond), h.Caller, name, h.Activity)
}
