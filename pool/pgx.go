package pool

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// Pgx is the pool as pgx's users know pools: its methods have the signatures of
// pgxpool.Pool, and pgx's own types. They take connections through the same gate
// as all others, with the same timeout, order, statistics and leak detection,
// and database/sql is not involved. What is written against pgxpool's interfaces
// takes it: code that sqlc generates, scany's pgxscan.
//
// All methods may be called concurrently. A Pgx needs no closing.
type Pgx struct{ p *Pool }

// errNoPgx is what the methods of a pool return that New made.
var errNoPgx = errors.New("pool: this pool was made by New, over a *sql.DB; pgx's own face needs one that Open has made")

// Pgx returns the face of the pool for pgx's own types.
func (p *Pool) Pgx() *Pgx { return &Pgx{p} }

// lend returns a holder for one call.
func (x *Pgx) lend() (*virtual, error) {
	if x.p.foreign != nil {
		return nil, errNoPgx
	}
	if x.p.closed.Load() {
		return nil, ErrClosed
	}
	v, _ := x.p.natives.Get().(*virtual)
	if v == nil {
		v = &virtual{p: x.p, shares: sharesAlways}
	}
	v.permit.Callsite.Capture()
	return v, nil
}

// done gives the holder's connection back, and the holder to the next call.
func (v *virtual) done(sound bool) {
	v.giveBack(sound)
	v.p.natives.Put(v)
}

// Exec runs a statement that returns no rows, as pgxpool.Pool.Exec does. Without
// arguments it may be several statements.
func (x *Pgx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	v, err := x.lend()
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer v.done(true)
	call := func(b backend) (pgconn.CommandTag, error) { return b.(*conn).nativeExec(ctx, sql, args) }
	if o := v.nativeOffering(sql, args); o.statement != nil && len(args) > 0 {
		return onShared(ctx, v, o, tagOf, call)
	}
	return onReal(ctx, v, gate.WantStatement, call)
}

// Query runs a statement that returns rows, as pgxpool.Pool.Query does. The
// connection is held until the rows are closed or read to the end. Rows.Conn is
// nil where several callers' statements were sent together.
func (x *Pgx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	v, err := x.lend()
	if err != nil {
		return failedRows{err}, err
	}
	rows, err := v.nativeRows(ctx, sql, args)
	if err != nil {
		return failedRows{err}, err
	}
	return rows, nil
}

// nativeRows runs a query. The holder is done with, unless the rows hold it.
func (v *virtual) nativeRows(ctx context.Context, sql string, args []any) (rows pgx.Rows, err error) {
	kept, finished := false, false
	defer func() {
		if !kept {
			v.done(finished) // else an argument panicked
		}
	}()
	call := func(b backend) (pgx.Rows, error) { return b.(*conn).nativeQuery(ctx, v, sql, args) }
	if o := v.nativeOffering(sql, args); o.statement != nil {
		rows, err = onShared(ctx, v, o, nativeRowsOf, call) //nolint:sqlclosecheck // the caller's to close
	} else {
		rows, err = onReal(ctx, v, gate.WantStatement, call) //nolint:sqlclosecheck // the caller's to close
	}
	finished = true
	_, held := rows.(*heldRows)
	kept = held && err == nil
	return rows, err
}

// QueryRow runs a statement that returns at most one row, as
// pgxpool.Pool.QueryRow does: errors, those of the wait among them, come from Row.Scan.
func (x *Pgx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := x.Query(ctx, sql, args...)
	return pgdriver.Row{Rows: rows, Err: err}
}

// Ping makes a round trip to the server.
func (x *Pgx) Ping(ctx context.Context) error {
	v, err := x.lend()
	if err != nil {
		return err
	}
	defer v.done(true)
	return v.Ping(ctx)
}

// nativeOffering is offering for pgx's own types.
func (v *virtual) nativeOffering(sql string, args []any) (o offer) {
	if v.p.table == nil || pgdriver.HasOptions(args) {
		return o
	}
	return offer{statement: v.p.table.Lookup(sql), face: pgdriver.PgxFace, values: args}
}

func tagOf(c *pgdriver.Call) (pgconn.CommandTag, error) {
	defer c.Discard()
	if err := c.Answer().Err; err != nil {
		return pgconn.CommandTag{}, errorOf(err)
	}
	return c.Answer().Result.Tag, nil
}

func nativeRowsOf(c *pgdriver.Call) (pgx.Rows, error) {
	if err := c.Answer().Err; err != nil {
		return nil, errorOf(err)
	}
	return c.PgxRows(), nil
}

// nativeExec is ExecContext for pgx's types.
func (c *conn) nativeExec(ctx context.Context, sql string, args []any) (tag pgconn.CommandTag, err error) {
	if err := c.beginAfter(ctx, c.trusted && (len(args) == 0 || pgdriver.HasOptions(args))); err != nil {
		return tag, err
	}
	err = c.guard(func() (err error) {
		tag, err = c.pgx().Exec(c.watch.over(ctx), sql, args...)
		return err
	})
	c.end()
	return tag, c.judge(ctx, err)
}

// nativeQuery is QueryContext for pgx's types. It reads up to the first row:
// before that nobody knows whether the statement was executed at all.
func (c *conn) nativeQuery(ctx context.Context, v *virtual, sql string, args []any) (pgx.Rows, error) {
	if err := c.beginAfter(ctx, c.trusted && pgdriver.HasOptions(args)); err != nil {
		return nil, err
	}
	r := &heldRows{v: v, c: c, ctx: ctx, waiting: true}
	err := c.guard(func() (err error) {
		if r.Rows, err = c.pgx().Query(c.watch.over(ctx), sql, args...); err == nil {
			r.more = r.Rows.Next()
			err = r.Rows.Err()
		}
		return err
	})
	if err != nil {
		c.end()
		return nil, c.judge(ctx, err)
	}
	c.Activity.CompareAndSwap(connstate.ActivityRunning, connstate.ActivityRows)
	return r, nil
}

// guard gives the connection up when a call panics, in a driver.Valuer say, and
// lets the panic go on.
func (c *conn) guard(call func() error) error {
	finished := false
	defer func() {
		if !finished {
			c.abandon()
		}
	}()
	err := call()
	finished = true
	return err
}

// heldRows are rows that hold their connection until they are closed.
type heldRows struct {
	pgx.Rows
	v       *virtual
	c       *conn
	ctx     context.Context // the query's
	waiting bool            // the first row was read ahead, and nobody has asked for it yet
	more    bool            // there was one
	closed  bool
	err     error
}

// Next goes to the next row, and closes the rows when there is none.
func (r *heldRows) Next() bool {
	more := r.more
	if !r.waiting {
		more = r.Rows.Next()
	}
	r.waiting = false
	if !more {
		r.Close()
	}
	return more
}

// Scan decodes the present row. An error closes the rows.
func (r *heldRows) Scan(dest ...any) error {
	if len(dest) == 1 {
		if whole, ok := dest[0].(pgx.RowScanner); ok {
			return r.failed(whole.ScanRow(r))
		}
	}
	return r.failed(r.Rows.Scan(dest...))
}

// Values decodes the present row. An error closes the rows.
func (r *heldRows) Values() ([]any, error) {
	values, err := r.Rows.Values()
	return values, r.failed(err)
}

func (r *heldRows) failed(err error) error {
	if err != nil {
		r.Close()
	}
	return err
}

// Close reads what is left, ends the query and gives the connection back.
func (r *heldRows) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.Rows.Close()
	if r.err = r.Rows.Err(); r.err != nil && r.ctx.Err() != nil {
		r.err = r.c.judgeCanceled(r.ctx, r.err)
	}
	r.c.Activity.CompareAndSwap(connstate.ActivityRows, connstate.ActivityRunning)
	r.c.end()
	r.v.done(true)
	r.v, r.c = nil, nil
}

// Err returns the error that ended the rows.
func (r *heldRows) Err() error {
	if r.closed {
		return r.err
	}
	return r.Rows.Err()
}

// failedRows are the rows of a query that failed.
type failedRows struct{ err error }

var _ pgx.Rows = failedRows{}

func (failedRows) Close()                                       {}
func (r failedRows) Err() error                                 { return r.err }
func (failedRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (failedRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (failedRows) Next() bool                                   { return false }
func (r failedRows) Scan(...any) error                          { return r.err }
func (r failedRows) Values() ([]any, error)                     { return nil, r.err }
func (failedRows) RawValues() [][]byte                          { return nil }
func (failedRows) Conn() *pgx.Conn                              { return nil }
func (failedRows) TypeMap() *pgtype.Map                         { return nil }
