// Package serverview asks a PostgreSQL server what it allows a role to have and
// who uses it now: the arithmetic behind "remaining connection slots are reserved".
//
// Every statement is read-only, needs no privilege beyond CONNECT, is a single
// round trip, and works on PostgreSQL 15 and later, on a hot standby, and through
// a transaction-pooling PgBouncer.
package serverview

import "time"

// View is the server as this role sees it, at one moment. It is a plain value.
//
// An ordinary role can open a session while
//
//	all sessions      < max_connections − superuser_reserved_connections − reserved_connections
//	the role's own    < its CONNECTION LIMIT (rolconnlimit)
//	the database's    < its CONNECTION LIMIT (datconnlimit)
//
// Members of pg_use_reserved_connections may use the reserved ones too, and
// superusers may use everything and are held to neither CONNECTION LIMIT.
type View struct {
	At         time.Time `json:"at"`          // the server's clock, RFC 3339
	Version    string    `json:"version"`     // server_version, such as "18.4"
	VersionNum int       `json:"version_num"` // server_version_num, such as 180004
	InRecovery bool      `json:"in_recovery"` // the server is a standby: read-only
	Role       string    `json:"role"`        // the role that logged in (session_user); behind a pooler, the pooler's
	Database   string    `json:"database"`    // the database connected to

	Superuser         bool `json:"superuser"`                      // the role is a superuser
	MayUseReserved    bool `json:"may_use_reserved"`               // the role may use reserved_connections
	SeesAll           bool `json:"sees_all"`                       // the role may read other roles' states and queries (pg_read_all_stats)
	MaxConnections    int  `json:"max_connections"`                // the server's max_connections
	SuperuserReserved int  `json:"superuser_reserved_connections"` // kept for superusers
	Reserved          int  `json:"reserved_connections"`           // kept for pg_use_reserved_connections; 0 before PostgreSQL 16
	RoleLimit         int  `json:"role_connection_limit"`          // rolconnlimit; -1 means none
	DatabaseLimit     int  `json:"database_connection_limit"`      // datconnlimit; -1 means none

	// Usable is the most sessions this role could have here if nobody else had any.
	Usable int `json:"usable"`
	// Free is how many more sessions this role could open now. Never negative.
	Free int `json:"free"`
	// UsagePercent is the fullest of the limits that bind this role, in percent.
	UsagePercent float64 `json:"usage_percent"`
	// BoundBy is the limit that is the fullest, as UsagePercent counts it.
	BoundBy Bound `json:"bound_by"`

	Sessions         int `json:"sessions"`          // client sessions of everybody, which is what counts against max_connections
	RoleSessions     int `json:"role_sessions"`     // of those, this role's
	DatabaseSessions int `json:"database_sessions"` // of those, this database's

	States       []StateCount  `json:"states"`       // Sessions by state, most first
	Applications []Application `json:"applications"` // Sessions by application_name, most first, at most 50
	OtherApps    int           `json:"other_apps"`   // sessions of applications beyond those 50

	LockWaiting []uint32   `json:"lock_waiting"` // the server processes that wait for a lock, at most 1000
	LockWaits   []LockWait `json:"lock_waits"`   // those that have waited for the longest, and who is in their way; at most 30

	// StatementTimeoutSeconds is statement_timeout as in force in the session
	// that was asked; 0 means none.
	StatementTimeoutSeconds float64 `json:"statement_timeout_seconds"`
}

// Bound names one of the three limits.
type Bound string

// The limits a role can run into.
const (
	BoundServer   Bound = "server"   // max_connections less what is reserved
	BoundRole     Bound = "role"     // the role's CONNECTION LIMIT
	BoundDatabase Bound = "database" // the database's CONNECTION LIMIT
)

// StateCount is how many sessions are in one state.
type StateCount struct {
	// State is pg_stat_activity's: "active", "idle", "idle in transaction",
	// "idle in transaction (aborted)", "fastpath function call", "starting",
	// "disabled"; "hidden" when this role may not see it.
	State string `json:"state"`
	Count int    `json:"count"`
}

// Application is the sessions that share an application_name.
type Application struct {
	Name              string `json:"name"` // application_name as the client chose it: do not trust it; may be empty
	Sessions          int    `json:"sessions"`
	RoleSessions      int    `json:"role_sessions"` // of Sessions, those of the role that asked
	Active            int    `json:"active"`
	Idle              int    `json:"idle"`
	IdleInTransaction int    `json:"idle_in_transaction"` // aborted ones included
	Hidden            int    `json:"hidden"`              // state not visible to this role
}

// LockWait is a session that waits for a lock.
type LockWait struct {
	PID         uint32       `json:"pid"`
	Application string       `json:"application_name"` // do not trust it
	Role        string       `json:"role"`
	Mode        string       `json:"mode"`     // such as "ShareLock"
	Kind        string       `json:"kind"`     // such as "relation" or "transactionid"
	Relation    string       `json:"relation"` // when it is one of this database
	Seconds     float64      `json:"wait_seconds"`
	BlockedBy   []uint32     `json:"blocked_by"` // pg_blocking_pids; 0 is a prepared transaction
	HeldBy      []LockHolder `json:"held_by"`    // the sessions among them
}

// LockHolder is a session that is in the way of another.
type LockHolder struct {
	PID                uint32  `json:"pid"`
	Application        string  `json:"application_name"` // do not trust it
	Role               string  `json:"role"`
	State              string  `json:"state"`         // "hidden" when this role may not see it
	Waits              bool    `json:"waits"`         // it waits itself: somebody else is the cause
	StateSeconds       float64 `json:"state_seconds"` // how long it has been in that state; 0 when hidden
	TransactionSeconds float64 `json:"transaction_seconds"`
}

// Query is a statement that is running, or a transaction that is open and idle.
type Query struct {
	PID             uint32 `json:"pid"`                      // the server process
	Role            string `json:"role"`                     // who runs it
	Database        string `json:"database"`                 // where
	ApplicationName string `json:"application_name"`         // do not trust it
	ClientAddress   string `json:"client_address,omitempty"` // only when asked for
	State           string `json:"state"`                    // "active", "idle in transaction", "idle in transaction (aborted)"
	WaitingFor      string `json:"waiting_for,omitempty"`    // wait_event_type and wait_event, such as "Lock: transactionid"; empty while computing

	BlockedBy          []uint32 `json:"blocked_by,omitempty"` // server processes that hold what it waits for
	QuerySeconds       float64  `json:"query_seconds"`        // since the statement began; while idle in a transaction, since it became so
	TransactionSeconds float64  `json:"transaction_seconds"`  // since its transaction began
	Text               string   `json:"text,omitempty"`       // only when asked for: literals replaced by ?, cut to 500 characters
}
