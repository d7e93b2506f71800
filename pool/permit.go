package pool

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// A permit is the right to hold one connection, and the record of who holds it.
// A virtual connection has one and uses it again and again, so an acquisition
// allocates nothing. Others see a permit only through [holderRecord],
// which copies it.
//
// Until enter its owner writes it; afterwards the gate does, under gate.mu.
type permit struct {
	want        want
	lane        Lane
	ownDeadline bool // the caller's own deadline is nearer than pool_timeout
	internal    bool // the pool's own, for a moment: not in the statistics
	name        string
	asked       time.Time
	patience    time.Duration // how long the caller waits: pool_timeout or its own deadline
	by          caller
	scope       *scope // where nested acquisitions of the same unit of work look; may be nil
	outer       outer  // what this caller already held; almost always nothing
	offer       offer  // the statement, if it may share a connection

	// The fields below are guarded by gate.mu.
	seq        uint64 // counts the grants, so that one can be told from the next
	arrival    uint64 // its place among all who asked
	state      permitState
	again      bool             // it had a connection before, which died unused
	warned     bool             // the leak warning was given
	hungry     bool             // when it was queued, or came back, a dial could be of use to somebody
	waited     time.Duration    // from being asked for to being granted
	slot       *slot            // the connection; nil when it is to be fetched, or was lost
	call       *pgdriver.Call   // offered for a run, while it waits; then its own part of the run
	run        []*pgdriver.Call // granted for all of these; its own is the first
	riders     int              // whose statements are answered with its own
	ready      chan struct{}    // receives when a queued permit is granted or refused
	err        error            // why a queued permit was refused
	prev, next *permit          // neighbours in the queue, then among the holders
}

// want is what a connection is asked for.
type want uint8

const (
	wantStatement   want = iota // one statement, or its rows
	wantTransaction             // until it ends
	wantPreparation             // what is prepared can run on any other connection
	wantConn                    // the caller is to have it before its first statement: it must be alive
)

// pins reports whether the session is the caller's own after what was wanted.
func (w want) pins() bool { return w <= wantTransaction }

// decision is what the gate says to who asks for a connection.
type decision uint8

const (
	decidedGranted decision = iota
	decidedQueued           // p.ready will receive
	decidedRefused          // see p.err
)

// waitEnds is when the caller stops waiting.
func (p *permit) waitEnds() time.Time { return p.asked.Add(p.patience) }

// grantedAt is when the connection was granted; it does not change until the
// permit comes back.
func (p *permit) grantedAt() time.Time { return p.asked.Add(p.waited) }

type permitState uint8

const (
	permitNew permitState = iota
	permitQueued
	permitHeld
	permitRiding // its statement goes with somebody else's
	permitDone
)

// outer is a grant that a caller already held when it asked for another.
type outer struct {
	p   *permit
	seq uint64
}

// scope is one unit of work (a session, a request, a task) as far as nested
// acquisitions are concerned: what it holds now, and the work around it.
type scope struct {
	pool  *Pool
	held  atomic.Pointer[permit]
	outer *scope // around this one, of any pool
}

type scopeKey struct{}

func scopeOf(ctx context.Context) *scope {
	s, _ := ctx.Value(scopeKey{}).(*scope)
	return s
}

// of returns the innermost scope of pool p, from s outwards; nil if there is none.
func (s *scope) of(p *Pool) *scope {
	for s != nil && s.pool != p {
		s = s.outer
	}
	return s
}

// holding returns what the innermost work that holds something of this pool holds.
func (s *scope) holding() *permit {
	for ; s != nil; s = s.outer.of(s.pool) {
		if p := s.held.Load(); p != nil {
			return p
		}
	}
	return nil
}
