package pool

import (
	"bytes"
	"context"
	"database/sql/driver"
	"io"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// row is the only row of a *sql.Row. It was read to the end before anybody sees
// it: a Row that is never scanned, and one whose Scanner panics, keeps nothing open.
type row struct {
	columns []string
	values  []driver.Value
	next    error // what Next returns: nil for the row, io.EOF without one
	end     error // what closing the result returned
}

// readRow reads the first row and closes the result.
func readRow(inner driver.Rows) row {
	r := row{columns: inner.Columns()}
	r.values = make([]driver.Value, len(r.columns))
	r.next = inner.Next(r.values)
	for i, v := range r.values { // bytes may be the driver's own until it goes on
		if b, ok := v.([]byte); ok {
			r.values[i] = bytes.Clone(b)
		}
	}
	r.end = inner.Close()
	return r
}

// Columns returns the names of the columns.
func (r *row) Columns() []string { return r.columns }

// Next returns the row, once, to Row.Scan.
func (r *row) Next(dest []driver.Value) error {
	if r.next != nil {
		return r.next
	}
	copy(dest, r.values)
	r.next = io.EOF
	return nil
}

// Close ends the result.
func (r *row) Close() error { return r.end }

// rowContext is the context of a statement of the pool's of which one row is
// wanted. It hides its end from database/sql, which would start a goroutine to
// close the rows then.
type rowContext struct{ statementContext }

// forRow returns ctx for such a statement.
func forRow(ctx context.Context) context.Context {
	return rowContext{statementContext{Context: ctx}}
}

// onlyRow returns the only row of a statement that was run for a *sql.Row, and
// gives the connection back: the caller has all that it asked for.
func (v *virtual) onlyRow(inner driver.Rows) (rows driver.Rows, err error) {
	read := false
	defer func() {
		if !read {
			rows, err = nil, pgdriver.NewPanicError(recover())
		}
		v.giveBack(read)
	}()
	r := readRow(inner)
	read = true
	return &r, nil
}
