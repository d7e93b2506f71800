package pgdriver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// valueTypes are types with values of each, as SQL.
var valueTypes = []struct {
	name   string
	values []string
}{
	{"bool", []string{"true", "false"}},
	{"bytea", []string{`'\x00ff10'`, `''`}},
	{"\"char\"", []string{"'a'"}},
	{"name", []string{"'somebody'"}},
	{"int2", []string{"-32768", "7"}}, {"int4", []string{"-2147483648", "7"}}, {"int8", []string{"-9223372036854775808", "7"}},
	{"oid", []string{"4294967295"}}, {"xid", []string{"'7'"}}, {"cid", []string{"'7'"}}, {"tid", []string{"'(1,2)'"}},
	{"float4", []string{"1.5", "'NaN'", "'-Infinity'"}}, {"float8", []string{"1.1", "'NaN'", "'Infinity'"}},
	{"numeric", []string{"123456789012345678901234567890.12345", "'NaN'", "-0.5"}}, {"numeric(10,3)", []string{"1.5"}},
	{"text", []string{"'häß'", "''"}}, {"varchar", []string{"'x'"}}, {"varchar(20)", []string{"'x'"}}, {"bpchar", []string{"'x '"}}, {"char(5)", []string{"'x'"}},
	{"json", []string{`'{"a": [1, null]}'`, "'null'"}}, {"jsonb", []string{`'{"a": [1, null]}'`, "'3'"}}, {"jsonpath", []string{"'$.a'"}}, {"xml", []string{"'<a>b</a>'"}},
	{"date", []string{"'2024-02-29'", "'infinity'", "'-infinity'", "'0044-03-15 BC'"}},
	{"time", []string{"'12:34:56.789'", "'24:00'"}}, {"time(2)", []string{"'12:34:56.789'"}}, {"timetz", []string{"'12:34:56+02'"}},
	{"timestamp", []string{"'2024-02-29 12:34:56.789012'", "'infinity'"}}, {"timestamp(3)", []string{"'2024-02-29 12:34:56.789'"}},
	{"timestamptz", []string{"'2024-02-29 12:34:56.789012+05:30'", "'-infinity'"}}, {"timestamptz(0)", []string{"'2024-02-29 12:34:56+00'"}},
	{"interval", []string{"'1 year 2 mons 3 days 04:05:06.7'"}}, {"interval(3)", []string{"'1.2345 s'"}}, {"interval year to month", []string{"'14 months'"}},
	{"uuid", []string{"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"}},
	{"inet", []string{"'192.168.1.5/24'", "'::1'"}}, {"cidr", []string{"'10.0.0.0/8'"}}, {"macaddr", []string{"'08:00:2b:01:02:03'"}}, {"macaddr8", []string{"'08:00:2b:01:02:03:04:05'"}},
	{"bit(3)", []string{"B'101'"}}, {"varbit", []string{"B'1'"}}, {"varbit(5)", []string{"B'11'"}}, {"money", []string{"12.34"}},
	{"point", []string{"'(1,2)'"}}, {"line", []string{"'{1,2,3}'"}}, {"lseg", []string{"'[(1,2),(3,4)]'"}}, {"box", []string{"'(3,4),(1,2)'"}},
	{"path", []string{"'[(1,2),(3,4)]'"}}, {"polygon", []string{"'((1,2),(3,4),(5,6))'"}}, {"circle", []string{"'<(1,2),3>'"}},
	{"int4range", []string{"'[1,5)'", "'empty'"}}, {"numrange", []string{"'(1.5,)'"}}, {"tstzrange", []string{"'[2024-01-01 00:00+00,)'"}}, {"daterange", []string{"'[2024-01-01,2024-02-01)'"}},
	{"int4multirange", []string{"'{[1,3),[5,7)}'"}},
	{"tsvector", []string{"'a:1 b:2'"}}, {"tsquery", []string{"'a & b'"}}, {"regclass", []string{"'pg_class'"}}, {"pg_lsn", []string{"'16/B374D848'"}},
	{"bool[]", []string{"'{t,f,NULL}'"}}, {"int4[]", []string{"'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'"}}, {"int8[]", []string{"'{1}'"}}, {"text[]", []string{`'{a,"b,c",NULL,""}'`}},
	{"bytea[]", []string{`'{"\\x00"}'`}}, {"float8[]", []string{"'{1.5,NaN}'"}}, {"numeric[]", []string{"'{1.50}'"}}, {"uuid[]", []string{"'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"}},
	{"timestamptz[]", []string{"'{2024-01-01 00:00+00}'"}}, {"jsonb[]", []string{`'{"{\"a\": 1}"}'`}},
	{"mood", []string{"'happy'"}}, {"mood[]", []string{"'{happy,sad}'"}}, {"pair", []string{"'(1,two)'"}}, {"small", []string{"5"}}, {"span", []string{"'[1,2)'"}},
}

// onServer runs test with a session of a real server.
func onServer(t *testing.T, test func(conn *pgx.Conn, link *Link)) {
	t.Helper()
	srv := pgtest.Shared(t)
	conn, err := pgx.Connect(t.Context(), srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	test(conn, NewLink(conn.PgConn(), conn.TypeMap(), NewTable(ShareAll)))
}

func mustExec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// shared executes a statement in a run.
func shared(t *testing.T, l *Link, face Face, query string, args ...any) (*Call, Answer) {
	t.Helper()
	if err := l.Learn(t.Context(), l.table.Lookup(query)); err != nil {
		t.Fatal(err)
	}
	c := NewCall(l.table.Lookup(query), face, args)
	if c == nil {
		t.Fatalf("no call of %s with %v", query, args)
	}
	Begin(l, quietHost{}, []*Call{c}).Lead(t.Context())
	return c, c.Answer()
}

type quietHost struct{}

func (quietHost) Cancel() func() { return func() {} }
func (quietHost) HandOn(*Call)   {}
func (quietHost) Over(error)     {}

// TestValues compares what a run returns with what pgx's stdlib and pgx itself
// return, for every type.
func TestValues(t *testing.T) {
	onServer(t, func(conn *pgx.Conn, link *Link) {
		mustExec(t, conn, "create type mood as enum ('sad', 'happy'); create type pair as (a int, b text); create domain small as int check (value < 10); create type span as range (subtype = float8)")
		db := stdlib.OpenDB(*conn.Config())
		defer db.Close()
		for _, typ := range valueTypes {
			exprs := append([]string{"null::" + typ.name}, typ.values...)
			for _, v := range exprs {
				query := fmt.Sprintf("select (%s)::%s as v, $1::int as n", v, typ.name)
				compareSQL(t, db, link, query)
				comparePgx(t, conn, link, query)
			}
		}
	})
}

// driverRows returns what a driver's rows say of themselves, and their values.
func driverRows(t *testing.T, rows driver.Rows) (said, values []any) {
	t.Helper()
	r := rows.(interface {
		driver.RowsColumnTypeDatabaseTypeName
		driver.RowsColumnTypeLength
		driver.RowsColumnTypePrecisionScale
		driver.RowsColumnTypeScanType
	})
	for i, name := range r.Columns() {
		length, hasLength := r.ColumnTypeLength(i)
		precision, scale, hasScale := r.ColumnTypePrecisionScale(i)
		said = append(said, name, r.ColumnTypeDatabaseTypeName(i), length, hasLength, precision, scale, hasScale, r.ColumnTypeScanType(i))
	}
	_, hasNullable := rows.(driver.RowsColumnTypeNullable)
	said = append(said, hasNullable)
	dest := make([]driver.Value, len(r.Columns()))
	for {
		err := r.Next(dest)
		values = append(values, fmt.Sprint(err))
		if err != nil {
			break
		}
		for _, v := range dest {
			values = append(values, fmt.Sprintf("%T", v), v)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	return said, values
}

func compareSQL(t *testing.T, db *sql.DB, link *Link, query string) {
	t.Helper()
	var said, values []any
	held, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	err = held.Raw(func(dc any) error {
		rows, err := dc.(driver.QueryerContext).QueryContext(t.Context(), query, []driver.NamedValue{{Ordinal: 1, Value: int64(7)}})
		if err != nil {
			return err
		}
		said, values = driverRows(t, rows)
		return nil
	})
	c, a := shared(t, link, SQLFace, query, int64(7))
	if a.Err != nil || err != nil {
		if fmt.Sprint(a.Err) != fmt.Sprint(err) {
			t.Errorf("%s: %v, stdlib: %v", query, a.Err, err)
		}
		return
	}
	ourSaid, ourValues := driverRows(t, c.SQLRows())
	if !reflect.DeepEqual(ourSaid, said) {
		t.Errorf("%s: columns %v, stdlib: %v", query, ourSaid, said)
	}
	if fmt.Sprintf("%#v", ourValues) != fmt.Sprintf("%#v", values) { // NaN is not equal to itself
		t.Errorf("%s: %#v, stdlib: %#v", query, ourValues, values)
	}
}

func comparePgx(t *testing.T, conn *pgx.Conn, link *Link, query string) {
	t.Helper()
	theirs, _ := conn.Query(t.Context(), query, 7)
	said, values := pgxRows(t, theirs)
	c, a := shared(t, link, PgxFace, query, 7)
	if a.Err != nil {
		t.Errorf("%s: %v", query, a.Err)
		return
	}
	ourSaid, ourValues := pgxRows(t, c.PgxRows())
	if !reflect.DeepEqual(ourSaid, said) {
		t.Errorf("%s: columns %v, pgx: %v", query, ourSaid, said)
	}
	if fmt.Sprintf("%#v", ourValues) != fmt.Sprintf("%#v", values) {
		t.Errorf("%s: %#v, pgx: %#v", query, ourValues, values)
	}
}

// pgxRows returns the columns of rows and what they decode to, by themselves
// and into strings.
func pgxRows(t *testing.T, rows pgx.Rows) (said, values []any) {
	t.Helper()
	for rows.Next() {
		for _, fd := range rows.FieldDescriptions() {
			said = append(said, fd)
		}
		for _, raw := range rows.RawValues() {
			values = append(values, string(raw))
		}
		v, err := rows.Values()
		values = append(values, fmt.Sprintf("%#v", v), err)
		var s *string
		if rows.Err() == nil {
			err = rows.Scan(&s, nil)
			values = append(values, s == nil || *s != "", fmt.Sprint(err))
		}
	}
	return append(said, rows.CommandTag()), append(values, fmt.Sprint(rows.Err()))
}

// What QueryRow and pgx's helpers do with rows, they do with ours.
func TestPgxRows(t *testing.T) {
	onServer(t, func(conn *pgx.Conn, link *Link) {
		type person struct {
			ID   int
			Name *string
		}
		query := "select n as id, case when n > 1 then 'p' || n end as name from generate_series(1, $1::int) n"
		c, _ := shared(t, link, PgxFace, query, 3)
		people, err := pgx.CollectRows(c.PgxRows(), pgx.RowToStructByName[person])
		if err != nil || len(people) != 3 || people[0].Name != nil || *people[2].Name != "p3" {
			t.Errorf("%+v, %v", people, err)
		}
		c, _ = shared(t, link, PgxFace, query, 0)
		if err := (Row{Rows: c.PgxRows()}).Scan(nil, nil); !errors.Is(err, pgx.ErrNoRows) || !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("no rows: %v", err)
		}
		c, _ = shared(t, link, PgxFace, query, 2)
		var theirs, ours error
		theirs = conn.QueryRow(t.Context(), query, 2).Scan(new(int))
		ours = Row{Rows: c.PgxRows()}.Scan(new(int))
		if theirs.Error() != ours.Error() {
			t.Errorf("%q, pgx: %q", ours, theirs)
		}
		theirs = conn.QueryRow(t.Context(), query, 2).Scan(new(int), new(int))
		c, _ = shared(t, link, PgxFace, query, 2)
		ours = Row{Rows: c.PgxRows()}.Scan(new(int), new(int))
		if theirs.Error() != ours.Error() {
			t.Errorf("%q, pgx: %q", ours, theirs)
		}
		c, _ = shared(t, link, PgxFace, query, 2)
		if rows := c.PgxRows(); rows.TypeMap() == nil || rows.Conn() != nil {
			t.Error("type map or connection")
		}
	})
}
