package pgdriver

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// A transaction that begins with its first statement, in one round trip.

// late is such a transaction until the server has begun it.
type late struct {
	begin    string // "" when none is to begin
	tx       *tx
	readOnly bool
	refused  bool // the server answered with an error
}

// BeginLater returns a transaction whose BEGIN goes with its first statement, and
// costs nothing if none follows. Until the server is known to have begun it,
// statements return driver.ErrBadConn when the connection turns out to be dead.
//
// It is BeginTx where that cannot be: behind a pooler, which may give BEGIN and
// the statement to servers of its own choice, and in the simple protocol.
func (c *Conn) BeginLater(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if !c.telling {
		return c.BeginTx(ctx, opts)
	}
	begin, err := c.beginText(opts)
	if err != nil {
		return nil, err
	}
	t := &tx{c: c, ctx: ctx}
	c.late = late{begin: begin, tx: t, readOnly: opts.ReadOnly}
	c.exchange.ahead.state = aheadNone
	return t, nil
}

// IsLate reports whether a transaction is still to begin.
func (c *Conn) IsLate() bool { return c.late.begin != "" }

// BeginRefused reports whether the server has refused to begin it.
func (c *Conn) BeginRefused() bool { return c.late.refused }

// BeginNow begins the transaction that is still to begin, if there is one. Like
// BeginTx it returns driver.ErrBadConn when the connection is dead.
func (c *Conn) BeginNow(ctx context.Context) error {
	if !c.IsLate() {
		return nil
	}
	err := c.beginTx(ctx, c.late.tx, c.late.begin, c.late.readOnly)
	c.late.refused = err != nil
	if err == nil {
		c.late = late{}
	}
	return err
}

// beginFirst is beginAfter for a statement that may be the first of a transaction.
// Where it cannot carry the BEGIN, that comes before it.
func (c *Conn) beginFirst(ctx context.Context, carries, look bool) error {
	if !c.IsLate() {
		return c.beginAfter(ctx, look)
	}
	if !carries {
		if err := c.BeginNow(ctx); err != nil {
			return err
		}
		return c.beginAfter(ctx, false)
	}
	err := c.beginAfter(ctx, false)
	if err == nil {
		c.attach()
	}
	return err
}

// attach has the BEGIN go with the statement that is sent next.
func (c *Conn) attach() {
	c.late.refused = false
	c.exchange.ahead.arm(c.late.begin)
	c.exchange.tags.begin()
}

// noteBegin looks at what became of a BEGIN that went with a statement. It counts
// as done where the connection is lost: nobody is to take the work for committed.
func (c *Conn) noteBegin() {
	a := &c.exchange.ahead
	if a.state == aheadNone || !c.IsLate() {
		return
	}
	switch {
	case a.state == aheadHeard, a.state == aheadSent && c.IsClosed():
		c.begun(c.late.tx, c.late.readOnly)
		c.late = late{}
	default:
		c.late.refused = a.state == aheadRefused
		c.exchange.tags.end()
	}
}

// judgeFirst is judge for a statement that a BEGIN may have gone with. As long as
// the server has not answered that, nothing was done that could be committed, and
// the statement was not what the connection was lost for.
func (c *Conn) judgeFirst(ctx context.Context, err error) error {
	var panicked *PanicError
	if state := c.exchange.ahead.state; err != nil && state != aheadNone && state != aheadHeard && c.IsClosed() && ctx.Err() == nil && !errors.As(err, &panicked) {
		return driver.ErrBadConn
	}
	return c.judge(ctx, err)
}

// carries reports whether a BEGIN can go with a statement: where pgx sends it in
// the extended protocol.
func (c *Conn) carries(query string, args []driver.NamedValue) bool {
	return query != "" && !HasNamedOptions(args)
}

// carriesExec is carries for ExecContext. Without arguments pgx would send a
// simple query, which may be several statements; a single one can be sent in the
// extended protocol as well. A tracer would not be told of it, and a text without
// a space may be the name of a statement that was prepared on the connection. To a
// text with a parameter the server would say that the protocol was violated (08P01),
// instead of that there is no such parameter.
func (c *Conn) carriesExec(query string, args []driver.NamedValue) bool {
	if len(args) > 0 {
		return c.carries(query, args)
	}
	text := strings.TrimRight(query, "; \t\r\n")
	return !c.settings.Prepared && !c.traced && strings.ContainsAny(strings.TrimLeft(text, " \t\r\n"), " \t\r\n") && !strings.ContainsAny(text, ";$")
}

// execFirst is pgx's Exec for a statement that a BEGIN goes with.
func (c *Conn) execFirst(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) > 0 {
		return c.pgxConn.ExecContext(ctx, query, args)
	}
	tag, err := c.PgConn().ExecParams(ctx, query, nil, nil, nil, nil).Close()
	if err != nil && pgconn.SafeToRetry(err) {
		err = driver.ErrBadConn // as stdlib says it
	}
	return driver.RowsAffected(tag.RowsAffected()), err
}
