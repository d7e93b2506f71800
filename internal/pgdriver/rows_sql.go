package pgdriver

import (
	"database/sql/driver"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// SQLRows serves a copied result to database/sql, as pgx's stdlib package
// serves it from the session: the same values, names, types and errors.
type SQLRows struct {
	cursor
	table *Table
	codec *codec // nil once closed
	cells []cell
}

var (
	_ driver.Rows                           = (*SQLRows)(nil)
	_ driver.RowsColumnTypeDatabaseTypeName = (*SQLRows)(nil)
	_ driver.RowsColumnTypeLength           = (*SQLRows)(nil)
	_ driver.RowsColumnTypePrecisionScale   = (*SQLRows)(nil)
	_ driver.RowsColumnTypeScanType         = (*SQLRows)(nil)
)

// SQLRows returns the rows of an answered call, for its caller, who closes them.
func (c *Call) SQLRows() *SQLRows {
	return &SQLRows{cursor: cursor{Result: c.answer.Result}, table: c.st.table, codec: c.codec}
}

// Columns returns the names of the columns.
func (r *SQLRows) Columns() []string {
	names := make([]string, len(r.Fields))
	for i, fd := range r.Fields {
		names[i] = fd.Name
	}
	return names
}

// Next decodes the next row into dest.
func (r *SQLRows) Next(dest []driver.Value) error {
	if r.codec == nil || !r.next() {
		return io.EOF
	}
	if r.cells == nil {
		r.cells = make([]cell, len(r.Fields))
		for i, fd := range r.Fields {
			r.cells[i] = cellOf(r.codec.types, fd)
		}
	}
	for i, src := range r.values {
		if src == nil {
			dest[i] = nil
			continue
		}
		var err error
		if dest[i], err = r.cells[i](src); err != nil {
			return fmt.Errorf("convert field %d failed: %w", i, err)
		}
	}
	return nil
}

// Close gives back what the rows have borrowed. They never fail at their end.
func (r *SQLRows) Close() error {
	r.table.recycle(r.codec)
	r.codec, r.cells = nil, nil
	return nil
}

// ColumnTypeDatabaseTypeName returns the type's name in the database, or its
// OID where that is unknown.
func (r *SQLRows) ColumnTypeDatabaseTypeName(index int) string {
	oid := r.Fields[index].DataTypeOID
	if r.codec != nil {
		if t, ok := r.codec.types.TypeForOID(oid); ok {
			return strings.ToUpper(t.Name)
		}
	}
	return strconv.FormatInt(int64(oid), 10)
}

const (
	varHeaderSize  = 4  // what a type modifier counts beyond the length
	noTypeModifier = -1 // of a column without a length or precision
)

// ColumnTypeLength returns the length of a column of variable length.
func (r *SQLRows) ColumnTypeLength(index int) (int64, bool) {
	fd := r.Fields[index]
	switch fd.DataTypeOID {
	case pgtype.TextOID, pgtype.ByteaOID:
		return math.MaxInt64, true
	case pgtype.VarcharOID, pgtype.BPCharOID, pgtype.VarbitOID:
		if fd.TypeModifier == noTypeModifier {
			return math.MaxInt64, true
		}
		if fd.DataTypeOID == pgtype.VarbitOID {
			return int64(fd.TypeModifier), true
		}
		return int64(fd.TypeModifier - varHeaderSize), true
	}
	return 0, false
}

// defaultFraction is how many digits a second has unless a column says otherwise.
const defaultFraction = 6

// ColumnTypePrecisionScale returns precision and scale of a numeric column, and
// the digits of the seconds of a time.
func (r *SQLRows) ColumnTypePrecisionScale(index int) (precision, scale int64, ok bool) {
	fd := r.Fields[index]
	mod := int64(fd.TypeModifier)
	switch fd.DataTypeOID {
	case pgtype.NumericOID:
		if mod == noTypeModifier {
			return 0, 0, false
		}
		mod -= varHeaderSize
		return (mod >> 16) & 0xffff, mod & 0xffff, true
	case pgtype.TimestampOID, pgtype.TimestamptzOID, pgtype.TimeOID, pgtype.TimetzOID:
		if mod == noTypeModifier {
			return 0, defaultFraction, true
		}
		return 0, mod, true
	case pgtype.IntervalOID:
		if mod == noTypeModifier || mod&0xffff == 0xffff {
			return 0, defaultFraction, true
		}
		return 0, mod & 0xffff, true
	}
	return 0, 0, false
}

// ColumnTypeScanType returns a type that the column can be scanned into.
func (r *SQLRows) ColumnTypeScanType(index int) reflect.Type {
	switch r.Fields[index].DataTypeOID {
	case pgtype.Float8OID, pgtype.NumericOID:
		return reflect.TypeFor[float64]()
	case pgtype.Float4OID:
		return reflect.TypeFor[float32]()
	case pgtype.Int8OID:
		return reflect.TypeFor[int64]()
	case pgtype.Int4OID:
		return reflect.TypeFor[int32]()
	case pgtype.Int2OID:
		return reflect.TypeFor[int16]()
	case pgtype.BoolOID:
		return reflect.TypeFor[bool]()
	case pgtype.DateOID, pgtype.TimestampOID, pgtype.TimestamptzOID:
		return reflect.TypeFor[time.Time]()
	case pgtype.ByteaOID:
		return reflect.TypeFor[[]byte]()
	}
	return reflect.TypeFor[string]()
}

// cell decodes the values of one column.
type cell func(src []byte) (driver.Value, error)

// cellOf returns what decodes a column for database/sql.
func cellOf(m *pgtype.Map, fd pgconn.FieldDescription) cell {
	switch fd.DataTypeOID {
	case pgtype.BoolOID:
		return scanned(m, fd, func(d bool) (driver.Value, error) { return d, nil })
	case pgtype.ByteaOID, pgtype.JSONOID, pgtype.JSONBOID, pgtype.XMLOID:
		return scanned(m, fd, func(d []byte) (driver.Value, error) { return d, nil })
	case pgtype.CIDOID, pgtype.OIDOID, pgtype.XIDOID:
		return scanned(m, fd, pgtype.Uint32.Value)
	case pgtype.DateOID:
		return scanned(m, fd, pgtype.Date.Value)
	case pgtype.TimestampOID:
		return scanned(m, fd, pgtype.Timestamp.Value)
	case pgtype.TimestamptzOID:
		return scanned(m, fd, pgtype.Timestamptz.Value)
	case pgtype.Float4OID:
		return scanned(m, fd, func(d float32) (driver.Value, error) { return float64(d), nil })
	case pgtype.Float8OID:
		return scanned(m, fd, func(d float64) (driver.Value, error) { return d, nil })
	case pgtype.Int2OID:
		return scanned(m, fd, func(d int16) (driver.Value, error) { return int64(d), nil })
	case pgtype.Int4OID:
		return scanned(m, fd, func(d int32) (driver.Value, error) { return int64(d), nil })
	case pgtype.Int8OID:
		return scanned(m, fd, func(d int64) (driver.Value, error) { return d, nil })
	}
	return scanned(m, fd, func(d string) (driver.Value, error) { return d, nil })
}

// scanned scans into a T and turns it into what database/sql takes.
func scanned[T any](m *pgtype.Map, fd pgconn.FieldDescription, value func(T) (driver.Value, error)) cell {
	var d T
	plan := m.PlanScan(fd.DataTypeOID, fd.Format, &d)
	return func(src []byte) (driver.Value, error) {
		if err := plan.Scan(src, &d); err != nil {
			return nil, err
		}
		return value(d)
	}
}
