package pool

import (
	"context"
	"sync/atomic"
	"time"
)

// A permit is the right to hold one connection, and the record of who holds
// it. It rides on the context of the database/sql call down to the driver seam
// (conn.ResetSession, connector.Connect), where the connection that the call
// got is bound to it, and comes back when database/sql gives that connection
// back (conn.IsValid, conn.Close).
//
// A permit is given back when both its call has returned and no connection is
// bound: a call may lose a dead connection and go on with another, and a
// connection may outlive its call (open rows, a transaction).
type permit struct {
	lane  Lane
	name  string
	asked time.Time
	by    caller
	outer *permit // what this caller already held; nil almost always
	scope *scope  // where nested acquisitions of the same unit of work look; may be nil

	deadline    time.Time // when the wait ends: pool_timeout or the caller's own deadline
	ownDeadline bool      // the caller's own deadline is the nearer one

	keeping bool // the pool's own, for a moment: not in the statistics

	conn    atomic.Pointer[conn] // the bound connection, for whoever describes the holder
	foreign atomic.Int32         // what a connection of another driver is doing, for New

	uses atomic.Int32 // who still needs it: the database/sql call, and the connection bound to it

	// The fields below are guarded by gate.mu.
	state      permitState
	warned     bool          // the leak warning was given
	hungry     bool          // callers were waiting when it came back
	ready      chan struct{} // closed when a queued permit is granted or refused
	err        error         // why a queued permit was refused
	granted    time.Time
	returned   time.Time // after a warning
	prev, next *permit   // neighbours in the queue, then among the holders
}

type permitState uint8

const (
	permitNew permitState = iota
	permitQueued
	permitHeld
	permitDone
)

// permitContext carries a permit. It is one allocation for the context and the
// permit together, because every query pays it.
type permitContext struct {
	context.Context
	permit permit
}

type permitKey struct{}

// Value finds the permit and passes everything else on.
func (c *permitContext) Value(key any) any {
	if _, ok := key.(permitKey); ok {
		return &c.permit
	}
	return c.Context.Value(key)
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
