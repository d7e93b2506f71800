package pgdriver

import (
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgconn"
)

// Result is a whole answer, copied: it needs neither the session nor its
// buffers any more.
type Result struct {
	Fields []pgconn.FieldDescription
	Tag    pgconn.CommandTag
	Count  int // of rows

	rows []byte // as the server sends them: for each value its length, -1 for NULL, and its bytes
}

// appendRow copies one row.
func appendRow(rows []byte, values [][]byte) []byte {
	for _, v := range values {
		if v == nil {
			rows = append(rows, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		rows = binary.BigEndian.AppendUint32(rows, uint32(len(v)))
		rows = append(rows, v...)
	}
	return rows
}

// cursor reads a result row by row.
type cursor struct {
	*Result
	at     int
	read   int      // rows
	values [][]byte // of the present row
}

// next goes to the next row. It reports false when there is none.
func (c *cursor) next() bool {
	if c.read >= c.Count {
		c.values = nil
		return false
	}
	if c.values == nil {
		c.values = make([][]byte, len(c.Fields))
	}
	c.read++
	for i := range c.values {
		n := int32(binary.BigEndian.Uint32(c.rows[c.at:]))
		c.at += 4
		if n < 0 {
			c.values[i] = nil
			continue
		}
		c.values[i] = c.rows[c.at : c.at+int(n) : c.at+int(n)]
		c.at += int(n)
	}
	return true
}
