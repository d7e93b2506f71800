// Package statusjson holds the JSON documents that a service answers at /health
// and /debug/pool-status: HealthReport, Status and its History. They are plain
// values, for who writes them and for who reads them.
package statusjson

import (
	"time"

	"github.com/dbpool-go/dbpool/monitor/serverview"
)

// ServiceName is the "service" of every report this library writes. Who reads
// one can tell by it that the server is one of ours.
const ServiceName = "dbpool"

// Format is the version of Status and HealthReport. It rises when a field
// changes its meaning or disappears; fields may be added without it rising, so
// readers ignore what they do not know.
const Format = 1

// Status is the JSON of /debug/pool-status: one moment of one pool.
//
// Names end in their unit: _seconds (fractions allowed), _percent. Times are
// RFC 3339 with the service's own clock unless the field says otherwise.
// Counters count since the pool was opened. Nothing in it is secret: there is no
// password, no connection string, no argument of a query; addresses, SQL texts
// and stacks only when the service switched them on.
type Status struct {
	Service         string    `json:"service"`          // always "dbpool"
	Format          int       `json:"format"`           // version of this document, see Format
	Name            string    `json:"name"`             // the pool's name
	ApplicationName string    `json:"application_name"` // what the server shows for this pool's sessions
	At              time.Time `json:"at"`               // when the snapshot was taken

	Monitoring      Monitoring `json:"monitoring"`                // whether the background monitor works
	MonitoringSince time.Time  `json:"monitoring_since,omitzero"` // when it started

	Health HealthReport `json:"health"` // what /health says at this moment

	Pool        PoolFigures       `json:"pool"`        // connections now
	Queue       QueueFigures      `json:"queue"`       // callers: waiting, served, turned away
	Lanes       []LaneFigures     `json:"lanes"`       // probe, request, background, in this order
	Pipeline    PipelineFigures   `json:"pipeline"`    // statements that shared a connection, and why others did not
	Connections ConnectionFigures `json:"connections"` // opened, closed and why, dials
	Leaks       LeakFigures       `json:"leaks"`       // connections held suspiciously long
	Tasks       TaskFigures       `json:"tasks"`       // background tasks, those without a connection included

	Access           AccessState           `json:"access"`                    // whether the server grants new connections
	LastDialError    *DialFailure          `json:"last_dial_error,omitempty"` // the most recent failed dial, however long ago
	StatementTimeout StatementTimeoutState `json:"statement_timeout"`         // whether the limit for statements is kept
	Pooler           string                `json:"pooler,omitempty"`          // "pgbouncer" when one stands in between
	Settings         Settings              `json:"settings"`                  // the configuration in force

	Standby *StandbyFigures `json:"standby,omitempty"` // reads at standbys; absent without DATABASE_READ_URL

	Fleet   *FleetFigures  `json:"fleet,omitempty"` // all replicas of the service together; absent with DB_FLEET=off
	Server  ServerReport   `json:"server"`          // the server's own view
	Queries QueryReport    `json:"queries"`         // the longest-running statements on the server
	Holders []Holder       `json:"holders"`         // the longest-held connections, oldest first
	Routes  []RouteFigures `json:"routes"`          // by route, task or other name: those that use or want the most first, at most 30
	// Statements are the same by statement: Name is its text without values, and
	// without WithQueryText only its first word and a number that tells it from
	// others. What runs in a transaction or a session has its connection already,
	// and waits for none.
	Statements []RouteFigures `json:"statements"`

	Events  []Event  `json:"events"`            // what happened lately, newest first
	History *History `json:"history,omitempty"` // only with ?history=<sequence>, see History
}

// Monitoring says whether the background monitor works.
type Monitoring string

// What the background monitor can be doing.
const (
	MonitoringOn         Monitoring = "on"          // Run is running
	MonitoringOff        Monitoring = "off"         // ENABLE_POOL_MONITORING=false
	MonitoringNotRunning Monitoring = "not running" // Run was never called
	MonitoringStopped    Monitoring = "stopped"     // Run has returned
)

// PoolFigures are the connections of the pool now. checked_out + checked_in +
// dialing + closing are the sessions the pool has on the server, and never
// exceed limit (after a shrinking resize: the former limit, until given back).
type PoolFigures struct {
	Size       int `json:"size"`        // SQLAlchemy: connections kept when idle
	CheckedIn  int `json:"checked_in"`  // SQLAlchemy: open and free
	CheckedOut int `json:"checked_out"` // SQLAlchemy: held by callers
	Overflow   int `json:"overflow"`    // SQLAlchemy: open beyond size; negative while fewer are open

	MaxOverflow int `json:"max_overflow"` // how many may be opened beyond size
	MaxOpen     int `json:"max_open"`     // size + max_overflow
	Limit       int `json:"limit"`        // the most allowed now: max_open, or less while a fleet share or a full server says so
	Dialing     int `json:"dialing"`      // being opened
	Closing     int `json:"closing"`      // given up, but the server's session has not ended yet
	Quarantined int `json:"quarantined"`  // of closing, those overdue

	UsagePercent     float64   `json:"usage_percent"`         // checked_out of those that can be had: limit, or fewer while the server is full
	ThresholdPercent int       `json:"threshold_percent"`     // the usage that warns, MAX_CONNECTION_WARNINGS
	ClearPercent     float64   `json:"clear_percent"`         // the usage below which the warning is taken back
	OverThreshold    bool      `json:"over_threshold"`        // the warning stands
	OverSince        time.Time `json:"over_since,omitzero"`   // since when
	PeakInUse        int       `json:"peak_in_use,omitempty"` // the most checked_out seen in the history's window
}

// QueueFigures are the callers that asked for a connection.
type QueueFigures struct {
	Waiting          int     `json:"waiting"`            // queued now
	AcquiredCount    uint64  `json:"acquired_count"`     // got a connection
	WaitedCount      uint64  `json:"waited_count"`       // of those, had to queue
	WaitTotalSeconds float64 `json:"wait_total_seconds"` // queued, all callers together, however they left
	HoldTotalSeconds float64 `json:"hold_total_seconds"` // held, all callers together
	TimedOutCount    uint64  `json:"timed_out_count"`    // left after pool_timeout or their own deadline
	ShedCount        uint64  `json:"shed_count"`         // refused at once, because waiting would have been in vain
	CanceledCount    uint64  `json:"canceled_count"`     // gave up themselves while queued
	NestedCount      uint64  `json:"nested_count"`       // wanted a second connection while holding one, and had to queue

	Wait Distribution `json:"wait"` // time from asking to getting, since the pool was opened
	Hold Distribution `json:"hold"` // time from getting to giving back, since the pool was opened
	// RecentWait and RecentHold are the same over the last window_seconds; empty
	// while nothing was observed in it, or the monitor does not run.
	RecentWait    Distribution `json:"recent_wait"`
	RecentHold    Distribution `json:"recent_hold"`
	WindowSeconds float64      `json:"window_seconds"` // at most 300
}

// Distribution summarises durations. The percentiles are upper estimates: the
// bound of the histogram bucket that holds them.
type Distribution struct {
	Count       uint64   `json:"count"`
	MeanSeconds float64  `json:"mean_seconds"`
	P50Seconds  float64  `json:"p50_seconds"`
	P90Seconds  float64  `json:"p90_seconds"`
	P95Seconds  float64  `json:"p95_seconds"`
	P99Seconds  float64  `json:"p99_seconds"`
	Buckets     []Bucket `json:"buckets,omitempty"` // only those that are not empty, shortest first
}

// Bucket counts the durations up to its bound and beyond the bound before it.
type Bucket struct {
	UpToSeconds float64 `json:"up_to_seconds,omitempty"` // absent in the last bucket, which has no bound
	Count       uint64  `json:"count"`
}

// StandbyFigures say how reads at standbys go. pool has the connections to the
// primary alone.
type StandbyFigures struct {
	OK     bool      `json:"ok"`               // standbys can be used; else reads go to the primary
	Reason string    `json:"reason,omitempty"` // when not ok: why; only where addresses are shown
	Since  time.Time `json:"since"`            // when the present state began
	Behind bool      `json:"behind"`           // a standby lately did not have in time what a reader had written

	Budget     int `json:"budget"`      // the most connections to the primary and standbys together
	Limit      int `json:"limit"`       // the most connections to standbys now
	CheckedOut int `json:"checked_out"` // held by callers
	CheckedIn  int `json:"checked_in"`  // open and free
	Dialing    int `json:"dialing"`     // being opened
	Closing    int `json:"closing"`     // given up, but the server's session has not ended yet
	Waiting    int `json:"waiting"`     // callers queued for one

	ReadCount        uint64  `json:"read_count"`         // reads sent to a standby
	UnusableCount    uint64  `json:"unusable_count"`     // reads that the primary served because no standby could be used
	BehindCount      uint64  `json:"behind_count"`       // reads that the primary served because standbys were behind
	WaitedCount      uint64  `json:"waited_count"`       // reads that waited for a standby to have what they needed
	WaitTotalSeconds float64 `json:"wait_total_seconds"` // how long in all
}

// PipelineFigures are the statements that were sent together with those of other
// callers while callers waited.
type PipelineFigures struct {
	Mode          string          `json:"mode"`              // "reads", "all" or "off", DB_PIPELINE
	SharedCount   uint64          `json:"shared_count"`      // statements that were sent with others
	RunCount      uint64          `json:"run_count"`         // times that was done
	Lengths       []PipelineRuns  `json:"lengths,omitempty"` // run_count by length; only those that are not empty, shortest first
	UnsharedCount uint64          `json:"unshared_count"`    // statements that waited for a connection of their own: the sum of unshared
	Unshared      UnsharedReasons `json:"unshared"`          // by the first reason that applied
}

// PipelineRuns counts the runs of a length up to its bound and beyond the bound before it.
type PipelineRuns struct {
	UpTo  int    `json:"up_to,omitempty"` // statements; absent in the last, which has no bound
	Count uint64 `json:"count"`
}

// UnsharedReasons count statements that could not go with others.
type UnsharedReasons struct {
	Text      uint64 `json:"text"`       // locks, waits, lives in the session, or changes data
	New       uint64 `json:"new"`        // not executed often enough yet
	NotSelect uint64 `json:"not_select"` // looks like a query and came back as something else
	Slow      uint64 `json:"slow"`       // slow lately
	Large     uint64 `json:"large"`      // a large result lately
	Nested    uint64 `json:"nested"`     // its caller held a connection already
	Arguments uint64 `json:"arguments"`  // too large, or not encodable beforehand
}

// LaneFigures are one lane's part of the pool.
type LaneFigures struct {
	Lane    string `json:"lane"` // "probe", "request" or "background"
	InUse   int    `json:"in_use"`
	Waiting int    `json:"waiting"`
}

// ConnectionFigures count what happened to connections.
type ConnectionFigures struct {
	OpenedCount            uint64        `json:"opened_count"`
	ClosedCount            uint64        `json:"closed_count"` // the sum of closed
	Closed                 ClosedReasons `json:"closed"`       // by reason
	Ended                  EndedCauses   `json:"ended"`        // those of closed.broken, by what ended them
	DialCount              uint64        `json:"dial_count"`   // attempts to open one
	DialErrorCount         uint64        `json:"dial_error_count"`
	CanceledStatementCount uint64        `json:"canceled_statement_count"` // cancelled on the server because their context ended
}

// ClosedReasons count closed connections by reason.
type ClosedReasons struct {
	Recycled uint64 `json:"recycled"` // older than pool_recycle, or replaced on request
	Surplus  uint64 `json:"surplus"`  // idle beyond size, or beyond a lowered limit
	Broken   uint64 `json:"broken"`   // ended by the server or the network
	Canceled uint64 `json:"canceled"` // a cancelled statement was not confirmed in time
	Unclean  uint64 `json:"unclean"`  // given back unfit for reuse, such as inside a transaction
	Shutdown uint64 `json:"shutdown"` // the pool was closed
}

// EndedCauses count connections that were ended by the server or the network, or
// given up for what the server did.
type EndedCauses struct {
	Terminated      uint64 `json:"terminated"`       // pg_terminate_backend or a shutdown of the server (57P01)
	Crashed         uint64 `json:"crashed"`          // another process of the server crashed (57P02)
	DatabaseDropped uint64 `json:"database_dropped"` // 57P04
	IdleSession     uint64 `json:"idle_session"`     // idle_session_timeout (57P05)
	IdleTransaction uint64 `json:"idle_transaction"` // idle_in_transaction_session_timeout (25P03)
	Transaction     uint64 `json:"transaction"`      // transaction_timeout (25P04)
	Conflict        uint64 `json:"conflict"`         // a standby's conflict with what it replays (40001)
	OtherError      uint64 `json:"other_error"`      // the server ended them with another error
	Silent          uint64 `json:"silent"`           // closed or reset without an error message
	Network         uint64 `json:"network"`          // the network gave the server's host up
	GivenUp         uint64 `json:"given_up"`         // the pool gave them up: no answer came in time
	ReadOnly        uint64 `json:"read_only"`        // the pool gave them up: their server takes no writes any more
	Unknown         uint64 `json:"unknown"`          // their driver does not say
}

// LeakFigures are about connections held longer than the leak threshold.
type LeakFigures struct {
	Now              int     `json:"now"`               // held too long at this moment
	WarnedCount      uint64  `json:"warned_count"`      // holders ever warned about
	ThresholdSeconds float64 `json:"threshold_seconds"` // 0: not watched
}

// AccessState says whether the server grants new connections.
type AccessState struct {
	OK bool `json:"ok"`
	// Reason, when not ok: "server full", "reserved slots", "role limit",
	// "database limit", "starting up", "unreachable", "authentication", …
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"` // when the present state began
}

// DialFailure is a failed attempt to open a connection.
type DialFailure struct {
	At       time.Time `json:"at"`
	SQLState string    `json:"sqlstate,omitempty"` // such as "53300"; absent when no server answered
	Reason   string    `json:"reason"`             // as in AccessState
	Message  string    `json:"message,omitempty"`  // the server's own words; the network's only with WithAddresses
	Remedy   string    `json:"remedy,omitempty"`   // what to do about it
}

// StatementTimeoutState says how the limit for statements is kept.
type StatementTimeoutState struct {
	WantSeconds float64 `json:"want_seconds"` // DB_STATEMENT_TIMEOUT; 0: the server's own setting stays
	InForce     bool    `json:"in_force"`     // verified on the server
	How         string  `json:"how"`          // "startup parameter", "role or database setting", "transactions only", "not checked yet", "not in force"
}

// Settings is the configuration in force, without what may be secret.
type Settings struct {
	PoolTimeoutSeconds       float64 `json:"pool_timeout_seconds"`
	PoolRecycleSeconds       float64 `json:"pool_recycle_seconds"`
	ConnectTimeoutSeconds    float64 `json:"connect_timeout_seconds"`
	StatementTimeoutSeconds  float64 `json:"statement_timeout_seconds"`
	OverflowLingerSeconds    float64 `json:"overflow_linger_seconds"`
	LeakThresholdSeconds     float64 `json:"leak_threshold_seconds"`
	MaxWaiters               int     `json:"max_waiters"` // 0: no bound
	LogStatusIntervalSeconds float64 `json:"log_status_interval_seconds"`
	Fleet                    string  `json:"fleet"`                  // "off", "warn" or "enforce"
	FleetReplicas            int     `json:"fleet_replicas"`         // DB_FLEET_REPLICAS; 0: the live ones are counted
	FleetSurge               int     `json:"fleet_surge"`            // DB_FLEET_SURGE
	FleetBudget              string  `json:"fleet_budget,omitempty"` // DB_FLEET_BUDGET, such as "40" or "50%"; absent: all of the server
}

// ServerReport is the server's own view, or why there is none. Both can be
// present: then View is the last one that could be had.
type ServerReport struct {
	Error      string           `json:"error,omitempty"` // why it could not be asked just now
	At         time.Time        `json:"at,omitzero"`     // when View was read, by the service's clock
	AgeSeconds float64          `json:"age_seconds"`     // how old View is
	View       *serverview.View `json:"view,omitempty"`

	ThresholdPercent int       `json:"threshold_percent"`   // the usage_percent of View that warns
	OverThreshold    bool      `json:"over_threshold"`      // the warning stands
	OverSince        time.Time `json:"over_since,omitzero"` // since when
}

// QueryReport is the longest-running statements, or why there are none. Without
// pg_read_all_stats only those of this role are visible.
type QueryReport struct {
	Error      string             `json:"error,omitempty"`
	At         time.Time          `json:"at,omitzero"` // when they were read, by the service's clock
	AgeSeconds float64            `json:"age_seconds"`
	TextShown  bool               `json:"text_shown"` // the service was told to show SQL texts
	Longest    []serverview.Query `json:"longest"`    // longest first, at most 10
}

// Holder is a connection in use.
type Holder struct {
	Lane        string   `json:"lane"`            // "probe", "request" or "background"
	Name        string   `json:"name,omitempty"`  // route or task, when known
	Caller      string   `json:"caller"`          // file:line that asked for it
	HeldSeconds float64  `json:"held_seconds"`    // since it was handed out
	Activity    string   `json:"activity"`        // "running", "listening", "rows open", "idle in transaction" or "idle"
	PID         uint32   `json:"pid,omitempty"`   // the server process, when known
	Leaking     bool     `json:"leaking"`         // held longer than the leak threshold
	Stack       []string `json:"stack,omitempty"` // only with WithStacks, innermost first, "function file:line"
}

// RouteFigures are what was done under one name since the pool was opened: a
// route, a background task, what pool.ContextWithName said, or a statement. The
// recent figures are those of the last five minutes, or since the monitor was
// started; 0 when there was nothing, or no monitor runs.
type RouteFigures struct {
	Name             string  `json:"name"` // empty for all names beyond the first 200
	InUse            int     `json:"in_use"`
	Waiting          int     `json:"waiting"`
	AcquiredCount    uint64  `json:"acquired_count"`
	TimedOutCount    uint64  `json:"timed_out_count"`
	ShedCount        uint64  `json:"shed_count"`       // refused at once
	WaitP95Seconds   float64 `json:"wait_p95_seconds"` // of those that got a connection
	HoldP50Seconds   float64 `json:"hold_p50_seconds"` // of those that gave it back
	HoldP95Seconds   float64 `json:"hold_p95_seconds"`
	HoldTotalSeconds float64 `json:"hold_total_seconds"` // all together

	RecentCount          uint64  `json:"recent_count"` // that gave their connection back
	RecentWaitP95Seconds float64 `json:"recent_wait_p95_seconds"`
	RecentHoldP95Seconds float64 `json:"recent_hold_p95_seconds"`
}

// Event is something worth knowing that happened. Usage that goes up and down
// around its threshold is one event with a count.
type Event struct {
	Seq      uint64    `json:"seq"`              // later events have higher numbers; one that happened again gets a new number
	At       time.Time `json:"at"`               // when it happened first
	LastAt   time.Time `json:"last_at,omitzero"` // when it happened last, if more than once
	Count    int       `json:"count,omitempty"`  // how often, if more than once
	Kind     EventKind `json:"kind"`
	Severity Severity  `json:"severity"`
	Message  string    `json:"message"` // one line for people
}

// Severity grades events and problems.
type Severity string

// The severities.
const (
	SeverityInfo     Severity = "info"     // good to know; all-clears
	SeverityWarning  Severity = "warning"  // look at it
	SeverityCritical Severity = "critical" // callers fail because of it
)

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventUsageHigh         EventKind = "usage_high"        // pool usage reached the threshold
	EventUsageNormal       EventKind = "usage_normal"      // and fell again
	EventServerUsageHigh   EventKind = "server_usage_high" // the server's usage reached the threshold
	EventServerUsageNormal EventKind = "server_usage_normal"
	EventServerFull        EventKind = "server_full"    // the server refuses new connections: no slot
	EventServerRefuses     EventKind = "server_refuses" // it refuses or cannot be reached, for another reason
	EventServerGrants      EventKind = "server_grants"  // it grants them again
	EventLeak              EventKind = "leak"           // a connection is held longer than the leak threshold
	EventLeakCleared       EventKind = "leak_cleared"   // none is any more
	EventTimeouts          EventKind = "timeouts"       // callers began to time out
	EventShedding          EventKind = "shedding"       // callers began to be refused at once
	EventPressureOver      EventKind = "pressure_over"  // neither for a while
	EventRecycled          EventKind = "recycle"        // many connections were replaced in a short time
	EventBroken            EventKind = "broken"         // connections were ended by the server or the network
	EventResized           EventKind = "resized"        // size, overflow or limit changed
	EventFleetMisfit       EventKind = "fleet_misfit"   // all replicas together can ask for more than there is
	EventFleetFits         EventKind = "fleet_fits"     // not any more
	EventFleetFallback     EventKind = "fleet_fallback" // the fleet's budget cannot be shared and is divided by number
	EventFleetShared       EventKind = "fleet_shared"   // it is shared again
	EventDiagnosis         EventKind = "diagnosis"      // why callers get no connection, or that it is over
	EventHealth            EventKind = "health"         // health changed
	EventMonitor           EventKind = "monitor"        // the monitor started or stopped
)

// History is the last 15 minutes, oldest first, as columns of equal length: what
// the page draws. Each entry covers step_seconds. Ask with ?history=0 for all of
// it, then with ?history=<next> for what is new; with &step=60 it is the last 12
// hours, a minute an entry.
type History struct {
	StepSeconds float64 `json:"step_seconds"`
	From        uint64  `json:"from"` // sequence of the first entry: as asked, unless that is no longer kept
	Next        uint64  `json:"next"` // what to ask for next time

	At         []float64 `json:"at_seconds"` // Unix time of the end of the entry
	InUse      []int     `json:"in_use"`
	Idle       []int     `json:"idle"`
	Dialing    []int     `json:"dialing"`
	Closing    []int     `json:"closing"`
	Limit      []int     `json:"limit"`
	Waiting    []int     `json:"waiting"` // the most seen in the entry
	Acquired   []uint64  `json:"acquired"`
	TimedOut   []uint64  `json:"timed_out"`
	Shed       []uint64  `json:"shed"`
	WaitP50    []float64 `json:"wait_p50_seconds"` // 0 when nothing was acquired in the entry
	WaitP95    []float64 `json:"wait_p95_seconds"`
	WaitP99    []float64 `json:"wait_p99_seconds"`
	HoldP50    []float64 `json:"hold_p50_seconds"`
	HoldP95    []float64 `json:"hold_p95_seconds"`
	HoldP99    []float64 `json:"hold_p99_seconds"`
	ServerUsed []int     `json:"server_used"` // sessions on the server; -1 when unknown
}
