package pgdriver

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// ErrBusy is said here because pgx's own error would become driver.ErrBadConn,
// at which sql.Conn waits for the open rows to be closed: forever, if the caller
// is who reads them.
var ErrBusy = errors.New("pool: the connection is busy: rows of an earlier query on it are open; read them to the end or close them first")

// begin notes that a statement starts, and refuses it on a connection that was
// taken away from its holder, or whose rows are still being read.
func (c *Conn) begin(ctx context.Context) error { return c.beginAfter(ctx, false) }

// beginAfter is begin, after a look at the socket if one is wanted.
func (c *Conn) beginAfter(ctx context.Context, look bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.PgConn().IsBusy() {
		return ErrBusy
	}
	before := c.slot.State().Load()
	if before == connstate.ActivityReclaimed || !c.becomes(before, connstate.ActivityRunning) {
		return c.errReclaimed()
	}
	if (look || c.cancel.isPending()) && c.awake(ctx) != nil {
		c.end()
		return cmp.Or(ctx.Err(), driver.ErrBadConn)
	}
	c.trusted = false // whatever follows is this holder's own business
	c.exchange.begin()
	return nil
}

// end notes that a statement is over.
func (c *Conn) end() {
	c.watch.end()
	c.exchange.end()
	c.noteBegin()
	after := connstate.ActivityIdle
	if !c.IsClosed() && c.txStatus() != 'I' {
		after = connstate.ActivityTx
	}
	c.noteTxEnd()
	c.becomes(connstate.ActivityRunning, after)
}

// ExecContext runs a statement that returns no rows. Without arguments pgx sends
// it as a simple query, of which nobody can tell afterwards how far it got: so
// there is always a look at the socket before it.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	first := c.IsLate() && c.carriesExec(query, args)
	if err := c.beginFirst(ctx, first, c.trusted && (len(args) == 0 || HasNamedOptions(args))); err != nil {
		return nil, err
	}
	var r driver.Result
	err := c.guard(func() (err error) { // database/sql gives back what Exec held
		if first {
			r, err = c.execFirst(c.watch.over(ctx), query, args)
		} else {
			r, err = c.pgxConn.ExecContext(c.watch.over(ctx), query, args)
		}
		return err
	})
	c.end()
	return r, c.judgeFirst(ctx, err)
}

// QueryContext runs a statement that returns rows.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.beginFirst(ctx, c.carries(query, args), c.trusted && HasNamedOptions(args)); err != nil {
		return nil, err
	}
	var r driver.Rows
	err := c.shield(func() (err error) {
		r, err = c.pgxConn.QueryContext(c.watch.over(ctx), query, args)
		return err
	})
	return c.opened(ctx, r, err)
}

// HasNamedOptions reports whether args begin with pgx's own options, by which a query
// may become a simple one.
func HasNamedOptions(args []driver.NamedValue) bool {
	return len(args) > 0 && isOption(args[0].Value)
}

// opened notes that rows are open, or that the query failed.
func (c *Conn) opened(ctx context.Context, r driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		c.end()
		return nil, c.judgeFirst(ctx, err)
	}
	c.noteBegin()
	if !c.PgConn().IsBusy() {
		c.watch.end() // all is here already
	}
	c.becomes(connstate.ActivityRunning, connstate.ActivityRows)
	open := &rows{Rows: r.(*stdlib.Rows), c: c, ctx: ctx}
	c.open.Store(open)
	return open, nil
}

// Ping makes a round trip.
func (c *Conn) Ping(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	return c.judgeHarmless(ctx, c.shield(func() error { return c.PgConn().Ping(ctx) }))
}

// exec runs statements without arguments in one round trip.
func (c *Conn) exec(ctx context.Context, sql string) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	_, err := c.run(ctx, sql)
	return err
}

// run is exec after its beginning.
func (c *Conn) run(ctx context.Context, sql string) (results []*pgconn.Result, err error) {
	defer c.end()
	err = c.shield(func() (err error) {
		results, err = c.PgConn().Exec(ctx, sql).ReadAll()
		return err
	})
	return results, err
}

// maxInputs bounds how many prepared statements a connection remembers.
const maxInputs = 512

// PrepareContext has the server check a statement, and leaves no named statement
// there: pgx prepares what it runs by itself, and keeps it for as long as the
// connection lives. A statement is checked once on each connection, so executing a
// *sql.Stmt takes one round trip even if its connection was taken only for that.
func (c *Conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	inputs, known := c.inputs[query]
	if !known {
		var err error
		if inputs, err = c.describe(ctx, query); err != nil {
			return nil, err
		}
	}
	return &stmt{c: c, query: query, inputs: inputs}, nil
}

// describe asks the server how many parameters a statement has.
func (c *Conn) describe(ctx context.Context, query string) (inputs int, err error) {
	if err := c.BeginNow(ctx); err != nil {
		return 0, err
	}
	if err := c.begin(ctx); err != nil {
		return 0, err
	}
	defer c.end()
	var sd *pgconn.StatementDescription
	err = c.shield(func() (err error) {
		sd, err = c.PgConn().Prepare(ctx, "", query, nil)
		return err
	})
	if err != nil {
		return 0, c.judgeHarmless(ctx, err)
	}
	if len(c.inputs) >= maxInputs || c.inputs == nil {
		c.inputs = make(map[string]int)
	}
	c.inputs[query] = len(sd.ParamOIDs)
	return len(sd.ParamOIDs), nil
}

// Prepare is PrepareContext for callers without a context.
func (c *Conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// stmt is a prepared statement. It runs through the connection's own bookkeeping.
type stmt struct {
	c      *Conn
	query  string
	inputs int
}

var (
	_ driver.Stmt             = (*stmt)(nil)
	_ driver.StmtExecContext  = (*stmt)(nil)
	_ driver.StmtQueryContext = (*stmt)(nil)
)

// NumInput is the number of parameters.
func (s *stmt) NumInput() int { return s.inputs }

// Close has nothing to do. database/sql may call it under its own locks.
func (s *stmt) Close() error { return nil }

// ExecContext runs the statement. A panic becomes an error: sql.Stmt, unlike sql.DB,
// would never give the connection back.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (r driver.Result, err error) {
	finished := false
	defer func() {
		if !finished {
			r, err = nil, NewPanicError(recover())
		}
	}()
	r, err = s.c.ExecContext(ctx, s.query, args)
	finished = true
	return r, err
}

// QueryContext runs the statement.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.c.QueryContext(ctx, s.query, args)
}

// Exec is ExecContext for callers without a context. database/sql does not call it.
func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), Named(args))
}

// Query is QueryContext for callers without a context. database/sql does not call it.
func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), Named(args))
}

// Named are the arguments of a call that has them without names.
func Named(args []driver.Value) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, v := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return out
}
