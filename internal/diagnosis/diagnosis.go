// Package diagnosis says in one sentence why callers get no connection: the
// cause, who or what it is, since when, and what to do. The pool's errors, the
// monitor and dbmonitor all print that sentence, so that they never disagree.
//
// It asks nobody: a Scene is everything that it reasons about.
package diagnosis

import "time"

// Cause is why callers get no connection.
type Cause string

// The causes. None means that nothing is wrong.
const (
	None        Cause = ""
	Lock        Cause = "lock"                // most connections wait for a lock
	Leak        Cause = "leak"                // most connections are held without a statement
	Slow        Cause = "slow queries"        // most connections run statements for long
	Small       Cause = "pool too small"      // connections come and go, and there are too few
	Background  Cause = "background work"     // background work has all that it may have
	Nested      Cause = "nested acquisition"  // callers wait for what they hold themselves
	Share       Cause = "fleet share"         // the fleet's budget leaves this replica too few
	ServerFull  Cause = "server full"         // the server has no room for more sessions
	Neighbour   Cause = "neighbour"           // the same, and another application has most of them
	Rejected    Cause = "connection rejected" // new connections are refused for a password, a certificate or a setting
	Unreachable Cause = "server unreachable"  // no connection can be opened for another reason
	Hung        Cause = "server hung"         // the server is connected and does not answer
)

// Diagnosis is what is wrong. The zero value says that nothing is.
type Diagnosis struct {
	Cause    Cause
	Culprit  string    // who or what it is: a session, a file:line, an application; empty when nobody in particular
	Since    time.Time // since when; zero when that is not known
	Command  string    // SQL that helps at once; empty when there is none
	Sentence string    // all of it, for people
	Seen     time.Time // when the server was seen, if the diagnosis rests on that; else zero
}

// Scene is a pool at one moment, and what is known of its server.
type Scene struct {
	At     time.Time
	Waited time.Duration // how long whoever asks why has waited, or the caller first in the queue
	Failed bool          // somebody failed: there must be a cause

	Limit, MaxOpen, InUse, Idle, Dialing, Closing, Waiting, Kept int
	Own                                                          int // of Idle: what the pool itself uses for a moment

	Unended    int           // of Closing: what was given up a while ago, and the server has not ended
	UnendedFor time.Duration // the longest of them

	Background    bool // who asks is background work
	BackgroundUse int  // connections that background work holds
	BackgroundCap int  // and may hold

	Usual   time.Duration // how long connections were held of late; 0 when not known
	Timeout time.Duration // statement_timeout; 0 when there is none
	Holders []Holder      // longest first

	Outer         *Holder // what the caller who asks holds already
	Caller        string  // file:line of the caller who asks
	NestedWaiting int     // how many of Waiting hold a connection already

	Access Access
	Fleet  Fleet
	View   *View     // nil when the server was never seen
	Silent time.Time // since when a connected server has not answered the monitor; zero when it has
}

// Holder is a connection in use.
type Holder struct {
	Who        string // file:line, and the route or task in parentheses
	Held       time.Duration
	Doing      Doing
	PID        uint32 // 0 when not known
	Background bool
	Leaking    bool // held past the leak threshold
}

// Doing is what a holder's connection does.
type Doing string

// What a connection in use can be doing.
const (
	Running       Doing = "running"
	Listening     Doing = "listening" // waits for notifications
	RowsOpen      Doing = "rows open"
	InTransaction Doing = "idle in transaction"
	Idle          Doing = "idle"
)

// Access is whether the server grants new connections.
type Access struct {
	OK       bool
	Full     bool      // it refuses for lack of room
	NoAnswer bool      // it does not answer
	Rejects  bool      // it, or this side of it, refuses for what trying again does not change
	Reason   string    // a few fixed words
	Remedy   string    // what to do about it; empty when that is not known
	Since    time.Time // when the present state began
}

// Fleet is the budget that replicas share; the zero value is none.
type Fleet struct {
	Replicas, Usable int
}

// View is what was seen of the server.
type View struct {
	At           time.Time // by this process's clock
	Role         string    // whom the pool logs in as
	Application  string    // what the pool's sessions are called
	Superuser    bool
	Sessions     int
	Usable, Free int
	Applications []Application // most sessions first
	Waiting      []uint32      // the processes that wait for locks
	Blockers     []Blocker     // who is in their way and waits for nobody, who blocks most first
}

// Application is the sessions of one application.
type Application struct {
	Name     string
	Sessions int
}

// Blocker is a session that others wait for, and that waits for nobody.
type Blocker struct {
	PID         uint32 // 0: a prepared transaction
	Application string
	Role        string
	State       string // empty when it is hidden
	For         time.Duration
	Blocks      []uint32 // who waits for it, directly or not
}

// Of says what is wrong.
func Of(s Scene) Diagnosis {
	for _, judge := range []func() Diagnosis{
		s.server, s.hung, s.nested, s.lock, s.background, s.holders, s.leaking,
	} {
		if d := judge(); d.Cause != None {
			return d
		}
	}
	return Diagnosis{}
}

// open is how many connections there are.
func (s *Scene) open() int { return s.InUse + s.Idle }

// full reports whether somebody cannot be served with what there is.
func (s *Scene) full() bool {
	return s.Failed || s.Waiting > 0 && s.Idle-s.Own <= s.Kept && s.Waited >= patience
}

// patience is how long a queue may last before it needs a cause.
const patience = time.Second

// since is the moment d ago.
func (s *Scene) since(d time.Duration) time.Time { return s.At.Add(-d) }
