package pool

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestLoggable(t *testing.T) {
	pg := func(code, message string) error {
		return &pgconn.PgError{Severity: "ERROR", Code: code, Message: message}
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("no value in it"), "error=no value in it"},
		{pg("22P02", `invalid input syntax for type integer: "hunter2"`), `error=ERROR: invalid input syntax for type integer: "…" (SQLSTATE 22P02) sqlstate=22P02`},
		{pg("22P02", `invalid input syntax for type integer: "a"b hunter2"`), `error=ERROR: invalid input syntax for type integer: "…" (SQLSTATE 22P02) sqlstate=22P02`},
		{pg("22P02", "ungültige Eingabesyntax für Typ integer: »hunter2«"), `error=ERROR: ungültige Eingabesyntax für Typ integer: "…" (SQLSTATE 22P02) sqlstate=22P02`},
		{pg("22021", `invalid byte sequence for encoding: 0xc3 0x28`), `error=ERROR: invalid byte sequence for encoding: … … (SQLSTATE 22021) sqlstate=22021`},
		{pg("22012", "division by zero"), "error=ERROR: division by zero (SQLSTATE 22012) sqlstate=22012"},
		{pg("P0001", "no such user hunter2"), "error=ERROR: (message not shown) (SQLSTATE P0001) sqlstate=P0001"},
		{pg("23505", `duplicate key value violates unique constraint "orders_pkey"`), `error=ERROR: duplicate key value violates unique constraint "orders_pkey" (SQLSTATE 23505) sqlstate=23505`},
		{fmt.Errorf("import: %w", errors.Join(errors.New("a"), pg("22P02", `bad "hunter2"`))), "error=import: a\nERROR: bad \"…\" (SQLSTATE 22P02) sqlstate=22P02"},
		{errors.New(`failed to encode args[0]: unable to encode "hunter2" into binary format for int4 (OID 23): cannot find encode plan`), "error=failed to encode args[0]: (not shown)"},
		{errors.New(`sql: Scan error on column index 0, name "n": converting driver.Value type string ("hunter2") to a int: invalid syntax`), `error=sql: Scan error on column index 0, name "n": (not shown)`},
		{errors.New(`sql: converting argument $1 type: hunter2 is no amount`), `error=sql: converting argument $1 type: (not shown)`},
		{pg("", "hunter2"), "error=ERROR: (message not shown) (SQLSTATE )"},
	} {
		if got := strings.Trim(fmt.Sprint(loggable(c.err)), "[]"); got != c.want {
			t.Errorf("%v:\n got %s\nwant %s", c.err, got, c.want)
		}
	}
}
