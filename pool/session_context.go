package pool

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"
)

type sessionKey struct{}

// sessionContext carries a session, and the name of its route once known.
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
		if c.s.route != nil {
			return c.s.route()
		}
	}
	return c.Context.Value(key)
}

// unitContext is what a session's transaction lives under. While the
// connection is being acquired it ends with the first statement's context or
// the session's, whichever ends first; once begun, only finish ends it. So a
// statement's own deadline bounds the wait but not the transaction, and the
// driver, which sends COMMIT and ROLLBACK under this context, can still send
// them after the session's context has ended.
type unitContext struct {
	statement context.Context
	session   context.Context
	values    context.Context // the statement's, without its cancellation
	ended     context.Context // carries this context's own cancellation
	cancel    context.CancelFunc
	unbind    [2]func() bool
	begun     atomic.Bool
}

func newUnitContext(statement, session context.Context) *unitContext {
	c := &unitContext{statement: statement, session: session, values: context.WithoutCancel(statement)}
	c.ended, c.cancel = context.WithCancel(context.Background())
	c.unbind[0] = context.AfterFunc(statement, c.cancel)
	c.unbind[1] = context.AfterFunc(session, c.cancel)
	return c
}

// begin cuts the context loose from both; false when one has ended already.
func (c *unitContext) begin() bool {
	statement, session := c.unbind[0](), c.unbind[1]()
	c.begun.Store(statement && session)
	return statement && session
}

// end ends the context, and frees what binds it to the other two.
func (c *unitContext) end() {
	c.unbind[0]()
	c.unbind[1]()
	c.cancel()
}

func (c *unitContext) Done() <-chan struct{} { return c.ended.Done() }

// AfterFunc spares the context package a goroutine for each child.
func (c *unitContext) AfterFunc(f func()) func() bool { return context.AfterFunc(c.ended, f) }

func (c *unitContext) Err() error {
	err := c.ended.Err()
	if err == nil || c.begun.Load() {
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
	if c.begun.Load() {
		return time.Time{}, false
	}
	d, ok := c.statement.Deadline()
	if e, also := c.session.Deadline(); also && (!ok || e.Before(d)) {
		return e, true
	}
	return d, ok
}

// Value looks in the statement's context first: a name or lane set for this
// statement wins. The parents' own cancellation stays hidden, so that children
// ask this context's Err.
func (c *unitContext) Value(key any) any {
	if v := c.values.Value(key); v != nil {
		return v
	}
	return context.WithoutCancel(c.session).Value(key)
}

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
