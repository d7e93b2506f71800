package pool

import (
	"context"
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

// stmt runs a prepared statement through the connection's own bookkeeping. pgx
// finds what it prepared by the statement's text.
type stmt struct {
	driver.Stmt // pgx's; nil behind a pooler
	c           *conn
	query       string
	inputs      int
}

var (
	_ driver.Stmt             = (*stmt)(nil)
	_ driver.StmtExecContext  = (*stmt)(nil)
	_ driver.StmtQueryContext = (*stmt)(nil)
)

// describe checks a statement without leaving anything named on the server:
// behind a pooler the next transaction may run on another one.
func (c *conn) describe(ctx context.Context, query string) (driver.Stmt, error) {
	sd, err := c.PgConn().Prepare(ctx, "", query, nil)
	if err != nil {
		return nil, err
	}
	return &stmt{c: c, query: query, inputs: len(sd.ParamOIDs)}, nil
}

// NumInput is the number of parameters.
func (s *stmt) NumInput() int { return s.inputs }

// Close forgets the statement on the server.
func (s *stmt) Close() error {
	if s.Stmt == nil || s.c.IsClosed() {
		return nil
	}
	return s.Stmt.Close()
}

// ExecContext runs the statement.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.c.ExecContext(ctx, s.query, args)
}

// QueryContext runs the statement.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.c.QueryContext(ctx, s.query, args)
}
