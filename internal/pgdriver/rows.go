package pgdriver

import (
	"context"
	"database/sql/driver"
	"io"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// rows notes when the rows of a query are closed. Each query has its own:
// database/sql may still read from the rows of one query, an empty result say,
// after the next has begun on the same connection.
type rows struct {
	*stdlib.Rows
	c   *Conn
	ctx context.Context // the query's
}

var (
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeLength           = (*rows)(nil)
	_ driver.RowsColumnTypePrecisionScale   = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
)

// Next notes that the statement is over when the last row has been read. A row
// that cannot be converted is not the last one.
func (r *rows) Next(dest []driver.Value) error {
	err := r.Rows.Next(dest)
	if err != nil && r.c.open.Load() == r && !r.c.PgConn().IsBusy() {
		r.c.watch.end()
	}
	return r.judge(err)
}

// judge turns an error into one that callers can match with errors.Is, and tells
// what is behind it: the end of the query's context, or a COPY without data.
func (r *rows) judge(err error) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case r.c.open.Load() == r && SQLState(err) == StateReadOnly:
		r.c.noteReadOnly(err)
	case r.c.slot.State().Load() == connstate.ActivityReclaimed:
		return r.c.errReclaimed()
	case r.c.exchange.refused.Load():
		return &CopyError{err}
	case r.ctx.Err() != nil:
		return r.c.judgeCanceled(r.ctx, err)
	}
	return err
}

// Cut cancels what is left of the query on the server, and closes the rows.
func (r *rows) Cut() error {
	if r.c.open.Load() == r && r.c.PgConn().IsBusy() {
		r.c.watch.now()
	}
	return r.Close()
}

// Close reads what is left and ends the query.
func (r *rows) Close() error {
	err := r.Rows.Close()
	if c := r.c; c.open.Load() == r {
		c.open.Store(nil)
		c.becomes(connstate.ActivityRows, connstate.ActivityRunning)
		c.end()
	}
	return r.judge(err)
}
