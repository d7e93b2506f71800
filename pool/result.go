package pool

import (
	"database/sql/driver"

	"github.com/jackc/pgx/v5/stdlib"
)

// rows notes when the rows of a query are closed. A connection has one set of
// open rows at most, so each connection keeps one of these and no query
// allocates it.
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
	c := r.c
	c.activity.CompareAndSwap(activityRows, activityRunning)
	c.end()
	return err
}
