package pool

import (
	"context"
	"sync/atomic"
	"time"
)

// A permit is the right to hold one connection, and the record of who holds
// it. It is the context of the database/sql call, which brings it down to the
// driver seam (conn.ResetSession, connector.Connect). There the connection that
// the call got is bound to it, and comes back when database/sql gives that connection
// back (conn.IsValid, conn.Close).
//
// A permit is given back when both its call has returned and no connection is
// bound: a call may lose a dead connection and go on with another, and a
// connection may outlive its call (open rows, a transaction).
//
// Every query allocates one, so it is kept small.
type permit struct {
	context.Context // what the call's own context was, or the observer made of it

	lane        Lane
	ownDeadline bool // the caller's own deadline is nearer than pool_timeout
	keeping     bool // the pool's own, for a moment: not in the statistics
	owner       bool // the caller keeps the very connection it gets: it must be alive
	name        string
	asked       time.Time
	patience    time.Duration // how long the caller waits: pool_timeout or its own deadline
	by          caller
	outer       *permit // what this caller already held; nil almost always
	scope       *scope  // where nested acquisitions of the same unit of work look; may be nil

	conn    atomic.Pointer[conn] // the bound connection, for whoever describes the holder
	foreign atomic.Int32         // what a connection of another driver is doing, for New
	uses    atomic.Int32         // who still needs it: the database/sql call, and the connection bound to it

	// The fields below are guarded by gate.mu.
	state      permitState
	warned     bool          // the leak warning was given
	hungry     bool          // when it was queued, or came back, a dial could be of use to somebody
	waited     time.Duration // from being asked for to being granted
	ready      chan struct{} // closed when a queued permit is granted or refused
	err        error         // why a queued permit was refused
	prev, next *permit       // neighbours in the queue, then among the holders
}

// farPermit is a permit with room for the callers of callers.
type farPermit struct {
	permit
	frames [farFrames]uintptr
}

// waitEnds is when the caller stops waiting.
func (p *permit) waitEnds() time.Time { return p.asked.Add(p.patience) }

// grantedAt is when the connection was granted; it never changes after that.
func (p *permit) grantedAt() time.Time { return p.asked.Add(p.waited) }

type permitState uint8

const (
	permitNew permitState = iota
	permitQueued
	permitHeld
	permitDone
)

type permitKey struct{}

// Value makes the permit the context of its own call: it finds itself and
// passes everything else on.
func (p *permit) Value(key any) any {
	if _, ok := key.(permitKey); ok {
		return p
	}
	return p.Context.Value(key)
}

func permitOf(ctx context.Context) *permit {
	p, _ := ctx.Value(permitKey{}).(*permit)
	return p
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
