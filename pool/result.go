package pool

import (
	"database/sql/driver"

	"github.com/jackc/pgx/v5/stdlib"
)

// rows notes when the rows of a query are closed. Each query has its own:
// database/sql may still read from the rows of one query, an empty result say,
// after the next has begun on the same connection.
type rows struct {
	*stdlib.Rows
	c *conn
}

var (
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeLength           = (*rows)(nil)
	_ driver.RowsColumnTypePrecisionScale   = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
)

// Close reads what is left and ends the query.
func (r *rows) Close() error {
	err := r.Rows.Close()
	if c := r.c; c.open == r {
		c.open = nil
		c.activity.CompareAndSwap(activityRows, activityRunning)
		c.end()
	}
	return err
}
