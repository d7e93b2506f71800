package pool

import (
	"context"
	"database/sql"
	"fmt"
)

// unit is the connection a session holds, in a transaction or bare. To
// database/sql it is a transaction in either case: that closes the rows of an
// ended session, in its own time.
type unit struct {
	*sql.Tx
	conn *sessionConn
	life *unitContext
}

// startSession returns an open session whose context is a child of ctx.
func (p *Pool) startSession(ctx context.Context, o sessionOptions, outer *Session) *Session {
	s := &Session{pool: p, opts: o, outer: outer}
	s.scope.Gate = p.gate
	if o.standby && p.standbys != nil {
		s.scope.Gate = p.standbys.p.gate
	}
	if outer != nil {
		s.scope.Outer = &outer.scope
	}
	ctx, s.cancel = context.WithCancel(ctx)
	s.ctx = sessionContext{ctx, s}
	return s
}

// acquire returns the session's connection, taking one if none is held. Of
// several first statements one takes it and the others wait for its outcome.
func (s *Session) acquire(ctx context.Context) (*unit, error) {
	if s == nil {
		return nil, ErrNoSession
	}
	for {
		u, wait, err := s.current(ctx)
		if u != nil || err != nil {
			return u, err
		}
		if wait == nil {
			return s.begin(ctx)
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// current returns the connection, or what to wait for, or why there is none.
// When it returns nothing at all, the caller must call begin.
func (s *Session) current(ctx context.Context) (*unit, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil {
		return nil, nil, s.over
	}
	if s.unit != nil || s.beginning != nil {
		return s.unit, s.beginning, nil
	}
	for _, c := range []context.Context{ctx, s.ctx} {
		if err := c.Err(); err != nil {
			s.unserved = err
			return nil, nil, err
		}
	}
	s.beginning = make(chan struct{})
	return nil, nil, nil
}

// begin takes a connection and begins the transaction.
func (s *Session) begin(ctx context.Context) (u *unit, err error) {
	life := newUnitContext(ctx, s.ctx, s.ctxEnded)
	life.autocommit, life.readsOnly, life.standby, life.unserved = s.opts.autocommit, s.opts.readsOnly(), s.opts.standby, s.noteServed
	defer func() { u, err = s.begun(life, u, err) }() // also when the driver panics
	if !s.abortable(life) {
		return nil, nil
	}
	opened, err := s.open(life)
	if err == nil && len(s.opts.begin) > 0 {
		err = s.runBegin(opened)
	}
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// runBegin runs the functions of WithBegin in a session of their own on u. When
// one fails or panics, u is rolled back.
func (s *Session) runBegin(u *unit) (err error) {
	first := &Session{pool: s.pool, outer: s.outer, unit: u}
	first.ctx = sessionContext{u.life, first}
	done := false
	defer func() {
		first.mu.Lock()
		first.over, first.unit = errBegun, nil
		first.mu.Unlock()
		if !done {
			_, _ = s.endUnit(u, ending{why: errUndone})
		}
	}()
	for _, fn := range s.opts.begin {
		if err := fn(first.ctx, first); err != nil {
			return fmt.Errorf("pool: begin: %w", err)
		}
	}
	done = true
	return nil
}

// abortable lets finish give up the attempt; false when the session is over.
func (s *Session) abortable(life *unitContext) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abort = life.cancel
	return s.over == nil
}

// open takes the connection.
func (s *Session) open(life *unitContext) (*unit, error) {
	tx, err := s.pool.sessions.BeginTx(life, &s.opts.tx)
	if err != nil {
		return nil, s.pool.seen(err)
	}
	return &unit{tx, life.conn, life}, nil
}

// noteServed notes why a statement could not begin the transaction, or that one did.
func (s *Session) noteServed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unserved = err
}

// begun records the outcome of an attempt and wakes those who wait for it. A
// connection that came after the session had ended is given back.
func (s *Session) begun(life *unitContext, u *unit, err error) (*unit, error) {
	s.mu.Lock()
	over, waiting := s.over, s.beginning
	kept := u != nil && over == nil && life.begin()
	if kept {
		s.unit = u
	} else if err == nil && over == nil {
		err = life.Err()
	}
	s.unserved, s.abort, s.beginning = err, nil, nil
	s.mu.Unlock()

	defer close(waiting)
	if kept {
		return u, nil
	}
	defer life.end() // again, where there is a unit
	if u != nil {
		_, _ = s.endUnit(u, ending{why: errWorkReturned}) // nothing was done in it
	}
	if err == nil {
		err = over
	}
	return nil, err
}
