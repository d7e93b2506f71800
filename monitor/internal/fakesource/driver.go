package fakesource

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
)

// connector opens connections to a server that answers the monitor's two
// statements and no other.
type connector struct{ s *Source }

func (c connector) Connect(context.Context) (driver.Conn, error) { return conn(c), nil }
func (c connector) Driver() driver.Driver                        { return nil }

type conn struct{ s *Source }

var _ driver.QueryerContext = conn{}

func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	kind := "view"
	switch {
	case len(args) > 0:
		return nil, errors.New("fakesource: arguments were given")
	case strings.Contains(query, "query_seconds"):
		kind = "queries"
	case !strings.Contains(query, "max_connections"):
		return nil, errors.New("fakesource: unknown statement")
	}
	doc, err := c.s.answer(ctx, kind)
	if err != nil {
		return nil, err
	}
	return &row{doc: doc}, nil
}

func (conn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("fakesource: not prepared for Prepare")
}
func (conn) Begin() (driver.Tx, error) { return nil, errors.New("fakesource: not prepared for Begin") }
func (conn) Close() error              { return nil }

// row is one row of one column.
type row struct {
	doc  string
	done bool
}

func (*row) Columns() []string { return []string{"doc"} }
func (*row) Close() error      { return nil }

func (r *row) Next(dest []driver.Value) error {
	if r.done {
		return io.EOF
	}
	r.done, dest[0] = true, r.doc
	return nil
}
