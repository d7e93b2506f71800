package pool

import (
	"database/sql/driver"
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
		{"conn", reflect.TypeFor[*virtual](), reflect.TypeFor[*stdlib.Conn](), []reflect.Type{validator}},
		{"stmt", reflect.TypeFor[*virtualStmt](), reflect.TypeFor[*stdlib.Stmt](), nil},
		{"connector", reflect.TypeFor[virtuals](), reflect.TypeOf(stdlib.GetConnector(pgx.ConnConfig{})), nil},
	} {
		for _, i := range optional[c.kind] {
			want := c.inner.Implements(i) || slices.Contains(c.more, i)
			if got := c.ours.Implements(i); got != want {
				t.Errorf("%v claims %v: %v, want %v", c.ours, i, got, want)
			}
		}
	}
}
