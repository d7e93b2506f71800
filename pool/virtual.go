package pool

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/stack"
)

// virtual is a connection as the callers' *sql.DB sees it: it costs nothing. It
// takes a real one from the gate when the first statement comes, and gives it back
// when database/sql gives the virtual one back. In between all statements run in
// one session, as *sql.Tx, *sql.Conn and *sql.Rows need it.
//
// It is the one way to a connection, for all faces of the pool, and the one place
// where a statement is tried again: where the connection that it got is dead and
// nothing was done on it yet.
type virtual struct {
	p      *Pool
	shares sharing
	permit gate.Permit
	offer  offer         // the statement, if it may share a connection
	real   backend       // nil while it has none
	pinned bool          // the session is the caller's own: something was done in it
	tx     laterTx       // which begins with its first statement; zero for most
	inside *route        // the statement that runs next in the session, if it is counted
	bound  func(backend) // told of each real connection, and of its loss with nil; may be nil
	reads  *standbyRead  // nil for all that goes to the primary
	writes progressWrite // zero where nobody follows the caller's progress
}

var (
	_ driver.Conn               = (*virtual)(nil)
	_ driver.ConnBeginTx        = (*virtual)(nil)
	_ driver.ConnPrepareContext = (*virtual)(nil)
	_ driver.ExecerContext      = (*virtual)(nil)
	_ driver.QueryerContext     = (*virtual)(nil)
	_ driver.Pinger             = (*virtual)(nil)
	_ driver.SessionResetter    = (*virtual)(nil)
	_ driver.Validator          = (*virtual)(nil)
	_ driver.NamedValueChecker  = (*virtual)(nil)
)

// virtuals is the connector of the callers' *sql.DB.
type virtuals struct {
	p      *Pool
	shares sharing
}

var _ driver.Connector = virtuals{}

// Connect makes a virtual connection. For sql.DB.Conn it has a real one.
func (c virtuals) Connect(ctx context.Context) (driver.Conn, error) {
	v := &virtual{p: c.p, shares: c.shares}
	v.permit.Callsite = c.p.callers.Capture()
	switch c.p.sites.kind(v.permit.Callsite.PCs()) {
	case checkoutForConn:
		if n, ours := ctx.Value(nudgeKey{}).(nudge); ours {
			return v, n.err
		}
		return v, v.hold(ctx)
	case checkoutForOpener:
		v.permit.Callsite = stack.Trace{} // who waits for it shows when it asks
	}
	return v, nil
}

// Driver returns pgx's driver.
func (virtuals) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// onReal runs call on a real connection, and again on another while the
// connection turns out to be dead before anything was done: after a restart of
// the server all of them may be. All tries happen under one permit, with one
// patience and one place in the queue.
func onReal[T any](ctx context.Context, v *virtual, w gate.Want, call func(backend) (T, error)) (result T, err error) {
	if v.pinned {
		return onIts(v, call)
	}
	if v.real == nil {
		err = v.take(ctx, v.wanted(w))
	}
	return tries(ctx, v, w, err, call)
}

// tries is onReal for a permit that was granted, unless there is an error.
func tries[T any](ctx context.Context, v *virtual, w gate.Want, err error, call func(backend) (T, error)) (result T, _ error) {
	for pause := time.Duration(0); err == nil; pause = min(2*pause+firstPause, lastPause) {
		if err = v.bindCurrent(ctx); err == nil {
			if err = v.startTx(); err == nil {
				result, err = onIts(v, call)
			}
			if !errors.Is(err, driver.ErrBadConn) {
				v.pinned = v.wanted(w).Pins() && !v.isLate()
				return result, err
			}
		}
		if err == errBehind {
			err = v.waitForReplay(ctx)
			continue
		}
		err = v.comeHome(ctx, v.replace(ctx, pause))
	}
	return result, err
}

// Between two tries: long enough in the end not to storm a server on which
// every new connection dies at once.
const (
	firstPause = time.Microsecond
	lastPause  = 50 * time.Millisecond
)

// bind makes the connection ready that the permit was granted for.
func (v *virtual) bind(ctx context.Context) error {
	if v.real != nil {
		return nil
	}
	if v.permit.Slot == nil {
		v.p.fetch(ctx, &v.permit)
	}
	if v.permit.Slot == nil {
		return driver.ErrBadConn
	}
	v.real = v.permit.Slot.Backend.(backend)
	if v.bound != nil {
		v.bound(v.real)
	}
	return v.real.ready(ctx, &v.permit)
}

// replace gives the dead connection up and waits for another. When none comes
// the permit has gone back.
func (v *virtual) replace(ctx context.Context, pause time.Duration) error {
	if c := v.real; c != nil {
		v.real, v.tx.Tx = nil, nil
		c.RetireFor(connstate.CloseBroken)
		v.p.gate.Lose(&v.permit, connstate.CloseBroken)
		c.close()
		v.p.gate.Demand()
	}
	return v.p.acquireAgain(ctx, &v.permit, pause)
}

// giveBack gives the real connection back, if there is one. It is sound unless
// database/sql knows better.
func (v *virtual) giveBack(sound bool) {
	defer v.leave()
	c := v.real
	if c == nil {
		return
	}
	v.pinned, v.tx = false, laterTx{}
	if !sound {
		c.RetireFor(connstate.CloseUnclean)
	}
	v.putBack(c)
}

// putBack gives back the connection that v has.
func (v *virtual) putBack(c backend) {
	v.real = nil
	if v.p.putBack(&v.permit, c) {
		v.p.released(&v.permit)
	}
}

// putBack gives back the connection c that was granted to permit. It reports false
// when permit had lost it before.
func (p *Pool) putBack(permit *gate.Permit, c backend) (released bool) {
	now := time.Now()
	p.noteChanges(permit, c)
	p.noteUnheard(c)
	reason := c.verdict(now)
	if reason != connstate.CloseUnknown {
		c.RetireFor(reason)
	}
	f := p.gate.Release(permit, now, reason)
	if f.Discard {
		c.close()
		p.gate.Demand()
	}
	return f.Released
}

// hold takes the real connection now, for a caller who is to have it before the
// first statement.
func (v *virtual) hold(ctx context.Context) error {
	v.asksNone()
	_, err := onReal(ctx, v, gate.WantConn, func(backend) (struct{}, error) { return struct{}{}, nil })
	return err
}

// Conn is pgx's connection, for a function given to sql.Conn.Raw. It is nil when
// no connection can be had within pool_timeout; Pool.Conn has one already.
func (v *virtual) Conn() *pgx.Conn {
	if v.real == nil && v.hold(context.Background()) != nil {
		return nil
	}
	v.pinned = true
	return v.real.Pgx()
}

// ExecContext runs a statement that returns no rows.
func (v *virtual) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	v.asks(query)
	execute := func(c backend) (driver.Result, error) { return c.ExecContext(ctx, query, args) }
	if len(args) > 0 && v.offers(ctx, query, args) { // without, pgx takes the simple protocol
		return onShared(ctx, v, resultOf, execute)
	}
	return onReal(ctx, v, gate.WantStatement, execute)
}

// QueryContext runs a statement that returns rows.
func (v *virtual) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	r, single := ctx.(rowContext)
	if !single {
		return v.query(ctx, query, args)
	}
	rows, err := v.query(r.Context, query, args)
	if err != nil || v.real == nil { // or it shared a connection, and its answer was copied
		return rows, err
	}
	return v.onlyRow(rows)
}

func (v *virtual) query(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	v.asks(query)
	v.chooseForQuery(ctx, query)
	execute := func(c backend) (driver.Rows, error) { return c.QueryContext(ctx, query, args) }
	if v.offers(ctx, query, args) {
		return onShared(ctx, v, rowsOf, execute)
	}
	return onReal(ctx, v, gate.WantStatement, execute)
}

// BeginTx begins a transaction.
func (v *virtual) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	v.asksNone()
	v.chooseForTx(ctx, opts, asksForStandby(ctx))
	tx, err := onReal(ctx, v, gate.WantTransaction, func(c backend) (driver.Tx, error) { return c.BeginTx(ctx, opts) })
	if err == nil && v.writes.progress != nil {
		tx = followedTx{tx, v}
	}
	return tx, err
}

// Begin is BeginTx for callers without a context; database/sql is none of them.
func (v *virtual) Begin() (driver.Tx, error) {
	return v.BeginTx(context.Background(), driver.TxOptions{})
}

// Ping makes a round trip.
func (v *virtual) Ping(ctx context.Context) error {
	v.asksNone()
	_, err := onReal(ctx, v, gate.WantStatement, func(c backend) (struct{}, error) { return struct{}{}, c.Ping(ctx) })
	return err
}

// PrepareContext has the server check a statement. That does not make the session
// the caller's own: what is prepared can run on any connection. A caller who has a
// session already, by a sql.Conn or a transaction, has it prepared there.
func (v *virtual) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	v.asksNone()
	own := v.real != nil
	return onReal(ctx, v, gate.WantPreparation, func(c backend) (driver.Stmt, error) {
		s := &virtualStmt{v: v, query: query, own: own}
		if err := s.prepareOn(ctx, c); err != nil {
			return nil, err
		}
		return s, nil
	})
}

// Prepare is PrepareContext for callers without a context; database/sql is none of them.
func (v *virtual) Prepare(query string) (driver.Stmt, error) {
	return v.PrepareContext(context.Background(), query)
}

// CheckNamedValue leaves arguments as they are: the real connection, which is not
// there yet, does with them what it will.
func (*virtual) CheckNamedValue(*driver.NamedValue) error { return nil }

// ResetSession is called when database/sql takes an idle connection out. There is
// no session yet; for sql.DB.Conn driver.ErrBadConn leads to Connect, whose error,
// unlike this one's, reaches the caller.
func (v *virtual) ResetSession(context.Context) error {
	v.permit.Callsite = v.p.callers.Capture()
	if v.p.sites.kind(v.permit.Callsite.PCs()) == checkoutForConn {
		return driver.ErrBadConn
	}
	return nil
}

// IsValid is called when database/sql gives the connection back.
func (v *virtual) IsValid() bool {
	v.giveBack(true)
	return true
}

// Close is called without IsValid when database/sql knows the connection as bad:
// because a function given to sql.Conn.Raw panicked, or returned
// driver.ErrBadConn, or a statement did.
func (v *virtual) Close() error {
	v.giveBack(false)
	return nil
}
