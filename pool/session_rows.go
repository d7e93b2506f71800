package pool

import (
	"context"
	"database/sql/driver"
	"io"
	"reflect"
	"slices"
	"time"
)

// sessionRows is a result of a session. It fails from the moment the session
// has ended, when the connection belongs to somebody else, or its statement's
// context has. What a driver lacks of the optional interfaces it answers as
// database/sql itself would, and so it does once they have ended: what the driver
// says of the columns may by then be about another result.
type sessionRows struct {
	driver.Rows
	columns []string // of the result that is being read
	c       *sessionConn
	ctx     context.Context // the statement's
	unwatch func() bool     // nil when ctx ends with the session
	closed  bool            // guarded by c.mu
}

var (
	_ driver.RowsNextResultSet              = (*sessionRows)(nil)
	_ driver.RowsColumnTypeDatabaseTypeName = (*sessionRows)(nil)
	_ driver.RowsColumnTypeLength           = (*sessionRows)(nil)
	_ driver.RowsColumnTypeNullable         = (*sessionRows)(nil)
	_ driver.RowsColumnTypePrecisionScale   = (*sessionRows)(nil)
	_ driver.RowsColumnTypeScanType         = (*sessionRows)(nil)
)

// cutter is a result whose rest can be cancelled instead of read.
type cutter interface{ Cut() error }

// openRowsLocked makes inner, the result of a statement under ctx, one of the session's.
func (c *sessionConn) openRowsLocked(ctx context.Context, inner driver.Rows) *sessionRows {
	r := &sessionRows{Rows: inner, columns: inner.Columns(), c: c, ctx: ctx}
	c.rows = append(c.rows, r)
	c.reading.Add(1)
	if ctx.Done() != c.session.Done() {
		r.unwatch = context.AfterFunc(ctx, r.expire)
	}
	return r
}

// Columns returns the names of the columns. database/sql asks for them also where
// the session may end meanwhile.
func (r *sessionRows) Columns() []string { return r.columns }

// Next reads the next row.
func (r *sessionRows) Next(dest []driver.Value) error {
	if err := r.c.lock(); err != nil {
		return err
	}
	defer r.c.mu.Unlock()
	if err := r.ctx.Err(); err != nil {
		return err
	}
	return r.Rows.Next(dest)
}

// Close ends the result.
func (r *sessionRows) Close() error {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.closeLocked(r.Rows.Close)
}

// expire ends the result when its statement's context has ended.
func (r *sessionRows) expire() {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	_ = r.closeLocked(r.cut)
}

// cut closes the result without reading what is left of it, where that can be.
func (r *sessionRows) cut() error {
	if c, ok := r.Rows.(cutter); ok {
		return c.Cut()
	}
	return r.Rows.Close()
}

// closeLocked closes the result by end, once.
func (r *sessionRows) closeLocked(end func() error) error {
	if r.closed {
		return nil
	}
	r.closed = true
	if r.unwatch != nil {
		r.unwatch()
	}
	r.c.rows = slices.DeleteFunc(r.c.rows, func(other *sessionRows) bool { return other == r })
	r.c.reading.Add(-1)
	return end()
}

// HasNextResultSet is the driver's.
func (r *sessionRows) HasNextResultSet() bool {
	inner, ok := r.Rows.(driver.RowsNextResultSet)
	if !ok || r.c.lock() != nil {
		return false
	}
	defer r.c.mu.Unlock()
	return inner.HasNextResultSet()
}

// NextResultSet is the driver's.
func (r *sessionRows) NextResultSet() error {
	inner, ok := r.Rows.(driver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	if err := r.c.lock(); err != nil {
		return err
	}
	defer r.c.mu.Unlock()
	err := inner.NextResultSet()
	if err == nil {
		r.columns = inner.Columns()
	}
	return err
}

// ColumnTypeDatabaseTypeName is the driver's.
func (r *sessionRows) ColumnTypeDatabaseTypeName(i int) (name string) {
	ofColumn(r, func(inner driver.RowsColumnTypeDatabaseTypeName) { name = inner.ColumnTypeDatabaseTypeName(i) })
	return name
}

// ColumnTypeLength is the driver's.
func (r *sessionRows) ColumnTypeLength(i int) (length int64, ok bool) {
	ofColumn(r, func(inner driver.RowsColumnTypeLength) { length, ok = inner.ColumnTypeLength(i) })
	return length, ok
}

// ColumnTypeNullable is the driver's.
func (r *sessionRows) ColumnTypeNullable(i int) (nullable, ok bool) {
	ofColumn(r, func(inner driver.RowsColumnTypeNullable) { nullable, ok = inner.ColumnTypeNullable(i) })
	return nullable, ok
}

// ColumnTypePrecisionScale is the driver's.
func (r *sessionRows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	ofColumn(r, func(inner driver.RowsColumnTypePrecisionScale) {
		precision, scale, ok = inner.ColumnTypePrecisionScale(i)
	})
	return precision, scale, ok
}

// ColumnTypeScanType is the driver's.
func (r *sessionRows) ColumnTypeScanType(i int) reflect.Type {
	scanType := reflect.TypeFor[any]()
	ofColumn(r, func(inner driver.RowsColumnTypeScanType) { scanType = inner.ColumnTypeScanType(i) })
	return scanType
}

// ofColumn calls ask with the driver's rows, if they can answer it and neither they
// nor the session have ended.
func ofColumn[T any](r *sessionRows, ask func(T)) {
	inner, ok := r.Rows.(T)
	if !ok || r.c.lock() != nil {
		return
	}
	defer r.c.mu.Unlock()
	if !r.closed {
		ask(inner)
	}
}

// scanGrace is how long Row.Scan may take after the row was read. It does no
// more than convert the values. When a Scanner panics in it, database/sql waits
// for a lock that this same goroutine holds: it never returns, and the panic
// never arrives. The connection is then taken from the session.
const scanGrace = 5 * time.Second

// sessionRow is the row of a session's *sql.Row.
type sessionRow struct {
	row
	c    *sessionConn
	late func()
}

// Next returns the row, once, to Row.Scan.
func (r *sessionRow) Next(dest []driver.Value) error {
	err := r.row.Next(dest)
	if err == nil {
		r.c.awaitScan(r.late)
	}
	return err
}

// Close ends the result.
func (r *sessionRow) Close() error {
	r.c.scanned()
	return r.row.Close()
}

// awaitScan calls late unless scanned is called within scanGrace.
func (c *sessionConn) awaitScan(late func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over != nil {
		return
	}
	if c.scan == nil {
		c.scan = time.AfterFunc(scanGrace, late)
		return
	}
	c.scan.Reset(scanGrace)
}

// scanned notes that Row.Scan goes on.
func (c *sessionConn) scanned() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.scan != nil {
		c.scan.Stop()
	}
}
