package pgdriver

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// Exec is ExecContext for pgx's types.
func (c *Conn) Exec(ctx context.Context, sql string, args []any) (tag pgconn.CommandTag, err error) {
	if err := c.beginAfter(ctx, c.trusted && (len(args) == 0 || HasOptions(args))); err != nil {
		return tag, err
	}
	err = c.guard(func() (err error) {
		tag, err = c.Pgx().Exec(c.watch.over(ctx), sql, args...)
		return err
	})
	c.end()
	return tag, c.judge(ctx, err)
}

// Query is QueryContext for pgx's types. It reads up to the first row: before
// that nobody knows whether the statement was executed at all. The holder is told
// when the rows are closed, unless there is an error.
func (c *Conn) Query(ctx context.Context, h Holder, sql string, args []any) (*HeldRows, error) {
	if err := c.beginAfter(ctx, c.trusted && HasOptions(args)); err != nil {
		return nil, err
	}
	r := &HeldRows{holder: h, c: c, ctx: ctx, waiting: true}
	err := c.guard(func() (err error) {
		if r.Rows, err = c.Pgx().Query(c.watch.over(ctx), sql, args...); err == nil {
			r.more = r.Rows.Next()
			err = r.Rows.Err()
		}
		return err
	})
	if err != nil {
		c.end()
		return nil, c.judge(ctx, err)
	}
	c.becomes(connstate.ActivityRunning, connstate.ActivityRows)
	return r, nil
}

// Lend calls use with pgx's connection. A panic costs the connection, and goes on.
func (c *Conn) Lend(use func(*pgx.Conn) error) error {
	defer func() { c.noteTxEnd() }()
	return c.guard(func() error { return use(c.Pgx()) })
}

// BeginNative is BeginTx for pgx's types.
func (c *Conn) BeginNative(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error) {
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	tx, err := c.Pgx().BeginTx(c.watch.over(ctx), options)
	c.end()
	return tx, c.judgeHarmless(ctx, err)
}

// Holder is who uses the connection as long as rows are open.
type Holder interface {
	// RowsClosed is called once, when the rows are closed.
	RowsClosed()
}

// HeldRows are rows that hold their connection until they are closed.
type HeldRows struct {
	pgx.Rows
	holder  Holder
	c       *Conn
	ctx     context.Context // the query's
	waiting bool            // the first row was read ahead, and nobody has asked for it yet
	more    bool            // there was one
	closed  bool
	err     error
}

// Next goes to the next row, and closes the rows when there is none.
func (r *HeldRows) Next() bool {
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
func (r *HeldRows) Scan(dest ...any) error {
	if len(dest) == 1 {
		if whole, ok := dest[0].(pgx.RowScanner); ok {
			return r.failed(whole.ScanRow(r))
		}
	}
	return r.failed(r.Rows.Scan(dest...))
}

// Values decodes the present row. An error closes the rows.
func (r *HeldRows) Values() ([]any, error) {
	values, err := r.Rows.Values()
	return values, r.failed(err)
}

func (r *HeldRows) failed(err error) error {
	if err != nil {
		r.Close()
	}
	return err
}

// Close reads what is left, ends the query and gives the connection back.
func (r *HeldRows) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.Rows.Close()
	if r.err = r.Rows.Err(); r.err != nil && r.ctx.Err() != nil {
		r.err = r.c.judgeCanceled(r.ctx, r.err)
	}
	r.c.becomes(connstate.ActivityRows, connstate.ActivityRunning)
	r.c.end()
	r.holder.RowsClosed()
	r.holder, r.c = nil, nil
}

// Err returns the error that ended the rows.
func (r *HeldRows) Err() error {
	if r.closed {
		return r.err
	}
	return r.Rows.Err()
}
