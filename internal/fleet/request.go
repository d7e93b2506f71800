package fleet

import (
	"context"
	"errors"
	"time"
)

// Token is the right to one session of the service, by number from 1.
// 0 is no token.
type Token uint32

// errKept is in the chain of an error after which the session goes on: the
// server refused one step, and what the steps before it did holds. The next look
// finds out what that was.
var errKept = errors.New("the session is kept")

// Locks is one server session of this replica while nobody else uses it. Do
// runs r there. After an error other than errKept the session's locks are not
// known, so it must be closed; that is what gives them back.
type Locks interface {
	Do(ctx context.Context, r Request) (Response, error)
	// PID is the server process as the connection's start told it.
	PID() uint32
}

// Request is what one session is to do, in the order of the fields, in one round trip.
type Request struct {
	Drop    []Token       // let go of these
	Retract []uint32      // take back what it published: values of Publish
	Hush    []uint32      // take back the alarms it raised: values of Response.Raised
	Publish []uint32      // one value: this replica's demand; see demandValue
	Part    int           // publish the service's part of the server too; 0: there is none
	Join    uint32        // belong to this member, if it does not yet
	Watch   uint32        // be the presence of this watching replica, if it is not yet
	Bind    Token         // take this token over from a session of Known
	Known   []uint32      // this replica's sessions that may hold Bind, by process id
	Claim   int           // take up to so many free tokens …
	UpTo    Token         // … of 1 to UpTo, the lowest first, …
	Most    int           // … while fewer than so many of these are held by anybody; 0: however many are
	Guard   bool          // make the server notice within seconds that this client is gone
	Unread  time.Duration // with Guard: how long the client may leave unread what was sent to it; 0: as long as the system lets it
	Raise   bool          // raise the alarm: somebody lacks something; see alarmTurn
	Probe   bool          // is the alarm raised, by another session?
	Glance  bool          // tell the service's own locks, and how many sessions there are
	Look    bool          // tell all that is to be seen
}

// Response is what came of a Request.
type Response struct {
	Bound   bool
	Claimed []Token
	Busy    bool      // for Claim with Most: another session was counting at this moment, so nothing was claimed
	Raised  []uint32  // for Raise: the alarms that could be raised
	Alarm   bool      // for Probe
	Seen    *Snapshot // for Look or Glance
}

// Lock is one advisory lock of the key space, of any service.
type Lock struct {
	Database   string
	Class, Key uint32
	PID        uint32
}

// Snapshot is what the server tells. Every time in it is the server's own.
type Snapshot struct {
	Brief    bool          // of a Glance: of the rest there is PID, Clock, Sessions.Server and the service's own Locks
	PID      uint32        // the server process that answered
	Server   string        // tells one start of one server from all others
	Clock    time.Duration // since 1970
	Limits   Limits
	Sessions Sessions
	Role     []uint32 // the sessions of this role, by process id
	Takers   []Taker  // who has the sessions, the most first
	Locks    []Lock
}
