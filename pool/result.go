package pool

import (
	"context"
	"database/sql/driver"
	"io"

	"github.com/jackc/pgx/v5/stdlib"
)

// rows notes when the rows of a query are closed. Each query has its own:
// database/sql may still read from the rows of one query, an empty result say,
// after the next has begun on the same connection.
type rows struct {
	*stdlib.Rows
	c   *conn
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
	if err != nil && r.c.open == r && !r.c.PgConn().IsBusy() {
		r.c.watch.end()
	}
	return r.judge(err)
}

// judge gives an error that the end of the query's context is behind the form
// that callers act on.
func (r *rows) judge(err error) error {
	if err == nil || err == io.EOF || r.ctx.Err() == nil {
		return err
	}
	return r.c.judgeCanceled(r.ctx, err)
}

// Close reads what is left and ends the query.
func (r *rows) Close() error {
	err := r.Rows.Close()
	if c := r.c; c.open == r {
		c.open = nil
		c.activity.CompareAndSwap(activityRows, activityRunning)
		c.end()
	}
	return r.judge(err)
}
