package pgdriver

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Face is who reads a result. It decides in which format the server sends each
// column.
type Face uint8

// The faces.
const (
	SQLFace Face = iota // database/sql, as pgx's stdlib package serves it
	PgxFace             // pgx itself
	faceCount
)

// format is the format in which the face wants a column of that type.
func (f Face) format(m *pgtype.Map, oid uint32) int16 {
	if f == PgxFace {
		return m.FormatCodeForOID(oid)
	}
	switch oid {
	case pgtype.BoolOID, pgtype.ByteaOID, pgtype.CIDOID, pgtype.DateOID, pgtype.Float4OID, pgtype.Float8OID,
		pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID, pgtype.TimestampOID, pgtype.TimestamptzOID, pgtype.XIDOID:
		return pgx.BinaryFormatCode
	}
	return pgx.TextFormatCode
}

// view is a statement's columns as a face wants them.
type view struct {
	fields  []pgconn.FieldDescription // with the formats filled in; never changed
	formats []int16                   // for Bind: none when all are text, one when all are the same
}

func (f Face) view(m *pgtype.Map, described []pgconn.FieldDescription) view {
	v := view{fields: make([]pgconn.FieldDescription, len(described)), formats: make([]int16, len(described))}
	same := true
	for i, fd := range described {
		fd.Format = f.format(m, fd.DataTypeOID)
		v.fields[i], v.formats[i] = fd, fd.Format
		same = same && v.formats[i] == v.formats[0]
	}
	switch {
	case len(described) == 0, same && v.formats[0] == pgx.TextFormatCode:
		v.formats = nil
	case same:
		v.formats = v.formats[:1]
	}
	return v
}

// format is the format that was asked for in column i, whatever it turns out to hold.
func (v view) format(i int) int16 {
	switch len(v.formats) {
	case 0:
		return pgx.TextFormatCode
	case 1:
		return v.formats[0]
	}
	return v.formats[min(i, len(v.formats)-1)]
}

// fits reports whether columns that were asked for as in v may be read when
// the server describes them like this: the same number, and of each the format
// that would be asked for now.
func (f Face) fits(m *pgtype.Map, v view, described []pgconn.FieldDescription) bool {
	if len(described) != len(v.fields) {
		return false
	}
	for i, fd := range described {
		if f.format(m, fd.DataTypeOID) != v.fields[i].Format {
			return false
		}
	}
	return true
}

// codec encodes arguments and decodes results in the goroutine of the caller
// whose they are. Codecs come from their table and go back to it.
type codec struct {
	types   *pgtype.Map
	builder pgx.ExtendedQueryBuilder
}

func (t *Table) codec() *codec {
	if c, _ := t.codecs.Get().(*codec); c != nil {
		return c
	}
	return &codec{types: pgtype.NewMap()}
}

// recycle gives c back to the table. What was decoded with it stays valid.
func (t *Table) recycle(c *codec) {
	if c != nil {
		t.codecs.Put(c)
	}
}
