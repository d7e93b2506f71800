package pgdriver

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// PgxRows serves a copied result as pgx.Rows, as pgx serves it from the
// session, but for Conn, which is nil: there is none any more.
type PgxRows struct {
	cursor
	table  *Table
	codec  *codec // nil once closed, unless lent
	lent   bool   // somebody has the type map
	closed bool
	err    error
	plans  []pgtype.ScanPlan
	types  []reflect.Type // what the plans scan into
}

var _ pgx.Rows = (*PgxRows)(nil)

// PgxRows returns the rows of an answered call, for its caller, who closes them.
func (c *Call) PgxRows() *PgxRows {
	return &PgxRows{cursor: cursor{Result: c.answer.Result}, table: c.st.table, codec: c.codec}
}

// Close closes the rows. It may be called again.
func (r *PgxRows) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.values, r.plans, r.types = nil, nil, nil
	if !r.lent {
		r.table.recycle(r.codec)
		r.codec = nil
	}
}

// Err returns the error of a Scan or of Values; there is no other.
func (r *PgxRows) Err() error { return r.err }

// CommandTag returns the command tag.
func (r *PgxRows) CommandTag() pgconn.CommandTag { return r.Tag }

// FieldDescriptions returns the columns.
func (r *PgxRows) FieldDescriptions() []pgconn.FieldDescription { return r.Fields }

// Conn returns nil.
func (r *PgxRows) Conn() *pgx.Conn { return nil }

// RawValues returns the values of the present row as they came.
func (r *PgxRows) RawValues() [][]byte { return r.values }

// TypeMap returns the type map that the rows are decoded with. It is the
// caller's from then on.
func (r *PgxRows) TypeMap() *pgtype.Map {
	if r.codec == nil {
		r.codec = r.table.codec()
	}
	r.lent = true
	return r.codec.types
}

// Next goes to the next row, and closes the rows when there is none.
func (r *PgxRows) Next() bool {
	if r.closed {
		return false
	}
	if r.next() {
		return true
	}
	r.Close()
	return false
}

// fatal ends the rows with an error.
func (r *PgxRows) fatal(err error) error {
	if r.err == nil {
		r.err = err
		r.Close()
	}
	return err
}

// Scan decodes the present row into dest.
func (r *PgxRows) Scan(dest ...any) error {
	if len(r.Fields) != len(r.values) {
		return r.fatal(fmt.Errorf("number of field descriptions must equal number of values, got %d and %d", len(r.Fields), len(r.values)))
	}
	if len(dest) == 1 {
		if whole, ok := dest[0].(pgx.RowScanner); ok {
			if err := whole.ScanRow(r); err != nil {
				return r.fatal(err)
			}
			return nil
		}
	}
	if len(r.Fields) != len(dest) {
		return r.fatal(fmt.Errorf("number of field descriptions must equal number of destinations, got %d and %d", len(r.Fields), len(dest)))
	}
	for i, d := range dest {
		if d == nil {
			continue
		}
		if err := r.plan(i, d).Scan(r.values[i], d); err != nil {
			return r.fatal(pgx.ScanArgError{ColumnIndex: i, FieldName: r.Fields[i].Name, Err: err})
		}
	}
	return nil
}

// plan returns how column i is scanned into d; it is kept for the next row.
func (r *PgxRows) plan(i int, d any) pgtype.ScanPlan {
	if r.plans == nil {
		r.plans, r.types = make([]pgtype.ScanPlan, len(r.Fields)), make([]reflect.Type, len(r.Fields))
	}
	if t := reflect.TypeOf(d); r.types[i] != t {
		r.types[i] = t
		r.plans[i] = r.codec.types.PlanScan(r.Fields[i].DataTypeOID, r.Fields[i].Format, d)
	}
	return r.plans[i]
}

// Values returns the present row, decoded as its types suggest.
func (r *PgxRows) Values() ([]any, error) {
	if r.closed {
		return nil, errors.New("rows is closed")
	}
	values := make([]any, 0, len(r.Fields))
	for i, src := range r.values {
		v, err := r.value(r.Fields[i], src)
		if err != nil {
			return nil, r.fatal(err)
		}
		values = append(values, v)
	}
	return values, nil
}

func (r *PgxRows) value(fd pgconn.FieldDescription, src []byte) (any, error) {
	if src == nil {
		return nil, nil
	}
	if t, ok := r.codec.types.TypeForOID(fd.DataTypeOID); ok {
		return t.Codec.DecodeValue(r.codec.types, fd.DataTypeOID, fd.Format, src)
	}
	switch fd.Format {
	case pgx.TextFormatCode:
		return string(src), nil
	case pgx.BinaryFormatCode:
		return append([]byte{}, src...), nil
	}
	return nil, errors.New("unknown format code")
}

// Row serves the first row of rows, as pgx.Conn.QueryRow does. err is why there
// are none.
type Row struct {
	Rows pgx.Rows
	Err  error
}

var _ pgx.Row = Row{}

// Scan decodes the row into dest and closes the rows.
func (r Row) Scan(dest ...any) error {
	if r.Err != nil {
		return r.Err
	}
	defer r.Rows.Close()
	for _, d := range dest {
		if _, ok := d.(*pgtype.DriverBytes); ok {
			return errors.New("cannot scan into *pgtype.DriverBytes from QueryRow")
		}
	}
	if !r.Rows.Next() {
		if err := r.Rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	_ = r.Rows.Scan(dest...) // Err tells
	r.Rows.Close()
	return r.Rows.Err()
}
