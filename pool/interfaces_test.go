package pool

import (
	"database/sql/driver"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// optional are all interfaces that database/sql looks for, by what it looks at.
var optional = map[string][]reflect.Type{
	"conn": {
		reflect.TypeFor[driver.Pinger](), reflect.TypeFor[driver.Execer](), reflect.TypeFor[driver.ExecerContext](), //nolint:staticcheck // the old ones too
		reflect.TypeFor[driver.Queryer](), reflect.TypeFor[driver.QueryerContext](), reflect.TypeFor[driver.ConnPrepareContext](), //nolint:staticcheck // the old ones too
		reflect.TypeFor[driver.ConnBeginTx](), reflect.TypeFor[driver.SessionResetter](), reflect.TypeFor[driver.Validator](),
		reflect.TypeFor[driver.NamedValueChecker](), reflect.TypeFor[driver.ColumnConverter](), //nolint:staticcheck // the old ones too
		reflect.TypeFor[interface{ Conn() *pgx.Conn }](), // what users of sql.Conn.Raw look for
	},
	"stmt": {
		reflect.TypeFor[driver.StmtExecContext](), reflect.TypeFor[driver.StmtQueryContext](),
		reflect.TypeFor[driver.NamedValueChecker](), reflect.TypeFor[driver.ColumnConverter](), //nolint:staticcheck // the old ones too
	},
	"rows": {
		reflect.TypeFor[driver.RowsNextResultSet](), reflect.TypeFor[driver.RowsColumnTypeScanType](),
		reflect.TypeFor[driver.RowsColumnTypeDatabaseTypeName](), reflect.TypeFor[driver.RowsColumnTypeLength](),
		reflect.TypeFor[driver.RowsColumnTypeNullable](), reflect.TypeFor[driver.RowsColumnTypePrecisionScale](),
	},
	"connector": {reflect.TypeFor[interface{ Close() error }]()},
}

// TestOptionalInterfaces wants each of ours to claim what pgx's has, no more and
// no less.
func TestOptionalInterfaces(t *testing.T) {
	validator := reflect.TypeFor[driver.Validator]() // ours: it is where permits come back
	for _, c := range []struct {
		kind        string
		ours, inner reflect.Type
		more        []reflect.Type
	}{
		{"conn", reflect.TypeFor[*conn](), reflect.TypeFor[*stdlib.Conn](), []reflect.Type{validator}},
		{"conn", reflect.TypeFor[*lease](), reflect.TypeFor[*stdlib.Conn](), []reflect.Type{validator}},
		{"stmt", reflect.TypeFor[*stmt](), reflect.TypeFor[*stdlib.Stmt](), nil},
		{"rows", reflect.TypeFor[*rows](), reflect.TypeFor[*stdlib.Rows](), nil},
		{"connector", reflect.TypeFor[connector](), reflect.TypeOf(stdlib.GetConnector(pgx.ConnConfig{})), nil},
	} {
		for _, i := range optional[c.kind] {
			want := c.inner.Implements(i) || slices.Contains(c.more, i)
			if got := c.ours.Implements(i); got != want {
				t.Errorf("%v claims %v: %v, want %v", c.ours, i, got, want)
			}
		}
	}
}

// TestForeignLeaseSkips has a driver connection that can do nothing optional: the
// lease claims everything and says driver.ErrSkip, which sends database/sql the
// way it would have gone.
func TestForeignLeaseSkips(t *testing.T) {
	l := &foreignLease{inner: plainConn{}}
	_, err1 := l.ExecContext(t.Context(), "", nil)
	_, err2 := l.QueryContext(t.Context(), "", nil)
	for _, err := range []error{err1, err2, l.CheckNamedValue(&driver.NamedValue{})} {
		if !errors.Is(err, driver.ErrSkip) {
			t.Errorf("got %v, want driver.ErrSkip", err)
		}
	}
}

type plainConn struct{}

func (plainConn) Prepare(string) (driver.Stmt, error) { return nil, nil }
func (plainConn) Close() error                        { return nil }
func (plainConn) Begin() (driver.Tx, error)           { return nil, nil }
