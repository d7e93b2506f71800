package gate

import (
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/internal/stack"
)

// Permit is the right to hold one connection, and the record of who holds it.
// A virtual connection has one and uses it again and again, so an acquisition
// allocates nothing. Others see a permit only through [Holding],
// which copies it.
//
// Until Enter its owner writes it; afterwards the gate does, under Gate.mu.
type Permit struct {
	Want        Want
	Lane        Lane
	OwnDeadline bool // the caller's own deadline is nearer than pool_timeout
	Internal    bool // the pool's own, for a moment: not in the statistics
	Standing    bool // held for as long as it works, on purpose: no leak, and never taken away
	Name        string
	Asked       time.Time
	Patience    time.Duration // how long the caller waits: pool_timeout or its own deadline
	Callsite    stack.Trace   // who asked
	Scope       *Scope        // where nested acquisitions of the same unit of work look; may be nil
	Outer       Grant         // what this caller already held; almost always nothing
	Owner       any           // whose it is; for whoever acquires
	Statement   any           // what it is for; for whoever acquires, who does not change it once it was asked for
	offered     Call          // its statement, if that may share a connection; see Offer
	shared      bool          // see Shared

	// The fields below are guarded by Gate.mu. Their owner may read those that it
	// was told of: Slot after a grant, Err after a refusal, WantsDial and Warned
	// after either end.
	seq        uint64 // counts the grants, so that one can be told from the next
	arrival    uint64 // its place among all who asked
	state      permitState
	again      bool          // it had a connection before, which died unused
	Warned     bool          // the leak warning was given
	WantsDial  bool          // when it was queued, or came back, a dial could be of use to somebody
	waited     time.Duration // from being asked for to being granted
	Slot       *Slot         // the connection; nil when it is to be fetched, or was lost
	call       Call          // offered for a run, while it waits; then its own part of the run
	run        []Rider       // granted for all of these; its own is the first
	riders     int           // whose statements are answered with its own
	ready      chan struct{} // receives when a queued permit is granted or refused
	Err        error         // why a queued permit was refused
	prev, next *Permit       // neighbours in the queue, then among the holders
}

// Want is what a connection is asked for.
type Want uint8

// The wants.
const (
	WantStatement   Want = iota // one statement, or its rows
	WantTransaction             // until it ends
	WantPreparation             // what is prepared can run on any other connection
	WantConn                    // the caller is to have it before its first statement: it must be alive
)

// Pins reports whether the session is the caller's own after what was wanted.
func (w Want) Pins() bool { return w <= WantTransaction }

// Decision is what the gate says to who asks for a connection.
type Decision uint8

// The decisions.
const (
	Granted Decision = iota
	Queued           // p.ready will receive
	Refused          // see p.err
)

// WaitEnds is when the caller stops waiting.
func (p *Permit) WaitEnds() time.Time { return p.Asked.Add(p.Patience) }

// GrantedAt is when the connection was granted; it does not change until the
// permit comes back.
func (p *Permit) GrantedAt() time.Time { return p.Asked.Add(p.waited) }

type permitState uint8

const (
	permitNew permitState = iota
	permitQueued
	permitHeld
	permitRiding // its statement goes with somebody else's
	permitDone
)

// Grant is one time that a permit was granted.
type Grant struct {
	P   *Permit
	seq uint64
}

// Scope is one unit of work (a session, a request, a task) as far as nested
// acquisitions are concerned: what it holds now, and the work around it.
type Scope struct {
	Gate  *Gate
	Outer *Scope // around this one, of any gate
	held  atomic.Pointer[Permit]
}

// Of returns the innermost scope of gate g, from s outwards; nil if there is none.
func (s *Scope) Of(g *Gate) *Scope {
	for s != nil && s.Gate != g {
		s = s.Outer
	}
	return s
}

// Holding returns what the innermost work that holds something of this gate holds.
func (s *Scope) Holding() *Permit {
	for ; s != nil; s = s.Outer.Of(s.Gate) {
		if p := s.held.Load(); p != nil {
			return p
		}
	}
	return nil
}
