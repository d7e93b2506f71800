package pool

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"
)

type sessionKey struct{}

// sessionContext carries a session, and the name of its route.
type sessionContext struct {
	context.Context
	s *Session
}

func (c sessionContext) Value(key any) any {
	switch key.(type) {
	case sessionKey:
		return c.s
	case scopeKey:
		return &c.s.scope
	case nameKey:
		if c.s.route != "" {
			return c.s.route
		}
	}
	return c.Context.Value(key)
}

// unitContext is what a session's transaction lives under. While the
// connection is being acquired it ends with the first statement's context or
// the session's, whichever ends first; once begun, only the session ends it. So
// a statement's own deadline bounds the wait but not the transaction, and the
// driver, which sends COMMIT and ROLLBACK under this context, can still send
// them after the session's context has ended.
type unitContext struct {
	statement context.Context
	session   context.Context
	ended     context.Context // carries this context's own cancellation
	cancel    context.CancelFunc
	unbind    [2]func() bool // from the session's context, and the statement's if it is another
	state     atomic.Int32   // acquiring, then begun or given up

	unserved   func(error)  // is told how beginning the transaction went
	autocommit bool         // no transaction is to be begun
	readsOnly  bool         // it is READ ONLY, and its COMMIT cannot fail
	standby    bool         // a standby may serve it
	conn       *sessionConn // what the connector took for it
}

type unitKey struct{}

const (
	unitAcquiring = iota
	unitBegun
	unitGivenUp
)

// newUnitContext calls ended when the session's context ends after the unit has begun.
func newUnitContext(statement, session context.Context, ended func(*unitContext)) *unitContext {
	c := &unitContext{statement: statement, session: session}
	c.ended, c.cancel = context.WithCancel(context.Background())
	c.unbind[0] = context.AfterFunc(session, func() {
		if !c.giveUp() && c.state.Load() == unitBegun {
			ended(c)
		}
	})
	if statement != session { // usually it is the same
		c.unbind[1] = context.AfterFunc(statement, func() { c.giveUp() })
	}
	return c
}

// begin cuts the context loose from the statement's; false when it has ended already.
func (c *unitContext) begin() bool { return c.state.CompareAndSwap(unitAcquiring, unitBegun) }

// giveUp ends the context unless the unit has begun.
func (c *unitContext) giveUp() bool {
	acquiring := c.state.CompareAndSwap(unitAcquiring, unitGivenUp)
	if acquiring {
		c.cancel()
	}
	return acquiring
}

// end ends the context, and frees what binds it to the other two.
func (c *unitContext) end() {
	for _, unbind := range c.unbind {
		if unbind != nil {
			unbind()
		}
	}
	c.cancel()
}

func (c *unitContext) Done() <-chan struct{} { return c.ended.Done() }

// AfterFunc spares the context package a goroutine for each child.
func (c *unitContext) AfterFunc(f func()) func() bool { return context.AfterFunc(c.ended, f) }

func (c *unitContext) Err() error {
	err := c.ended.Err()
	if err == nil || c.state.Load() == unitBegun {
		return err
	}
	for _, parent := range []context.Context{c.statement, c.session} {
		if why := parent.Err(); why != nil {
			return why
		}
	}
	return err
}

func (c *unitContext) Deadline() (time.Time, bool) {
	if c.state.Load() == unitBegun {
		return time.Time{}, false
	}
	d, ok := c.statement.Deadline()
	if e, also := c.session.Deadline(); also && (!ok || e.Before(d)) {
		return e, true
	}
	return d, ok
}

// Value looks in the statement's context first: a name or lane set for this
// statement wins.
func (c *unitContext) Value(key any) any {
	if _, ok := key.(unitKey); ok {
		return c
	}
	if v := c.statement.Value(key); v != nil || c.statement == c.session {
		return v
	}
	return c.session.Value(key)
}

// boundContext has one context's values and the end of another.
type boundContext struct {
	context.Context
	end context.Context
}

func (c boundContext) Done() <-chan struct{} { return c.end.Done() }
func (c boundContext) Err() error            { return c.end.Err() }

func (c boundContext) Deadline() (time.Time, bool) { return c.end.Deadline() }

// AfterFunc spares the context package a goroutine.
func (c boundContext) AfterFunc(f func()) func() bool { return context.AfterFunc(c.end, f) }

// plainCause is why ctx has ended: its error, and its cause where that says more.
func plainCause(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// rowOf returns a row whose Scan returns err. A *sql.Row cannot be made outside
// database/sql, but its methods return the error of an ended context as it is,
// before they look at anything else.
func rowOf(err error) *sql.Row {
	return new(sql.Tx).QueryRowContext(errContext{context.Background(), err}, "")
}

// errContext is a context that has ended with an error of our choice.
type errContext struct {
	context.Context
	err error
}

func (c errContext) Err() error { return c.err }

func (errContext) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}
