package pooltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

// Answer is what a [Fake] answers to a statement.
type Answer struct {
	Columns  []string         // of Rows
	Rows     [][]driver.Value // for queries
	Affected int64            // for other statements
}

// Fake is a database that a test makes up, for handlers whose SQL is not what is
// tested. Its methods may be called concurrently.
type Fake struct {
	answer func(query string, args []any) (Answer, error)

	mu         sync.Mutex // guards statements
	statements []string
}

// NewFake returns a pool on a made-up database. answer is called for each
// statement, concurrently if the code under test is concurrent. The pool is
// closed when the test ends, and the test fails if a connection was not given back.
func NewFake(t interface {
	TB
	Fatal(args ...any)
}, answer func(query string, args []any) (Answer, error)) (*pool.Pool, *Fake) {
	t.Helper()
	f := &Fake{answer: answer}
	cfg := config.Default()
	cfg.Name, cfg.Fleet, cfg.StatementTimeout = "fake", config.FleetOff, 0
	p, err := pool.New(sql.OpenDB(fakeConnector{f}), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	FailOnLeak(t, p)
	return p, f
}

// Statements returns what was executed so far, in order, with BEGIN, COMMIT and
// ROLLBACK where transactions began and ended.
func (f *Fake) Statements() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.statements...)
}

// Committed reports whether the last transaction was committed.
func (f *Fake) Committed() bool {
	all := f.Statements()
	for i := len(all) - 1; i >= 0; i-- {
		switch all[i] {
		case "COMMIT":
			return true
		case "ROLLBACK", "BEGIN":
			return false
		}
	}
	return false
}

func (f *Fake) note(statement string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statements = append(f.statements, statement)
}

func (f *Fake) run(query string, args []driver.NamedValue) (Answer, error) {
	f.note(query)
	values := make([]any, len(args))
	for i, a := range args {
		values[i] = a.Value
	}
	return f.answer(query, values)
}

type fakeConnector struct{ f *Fake }

func (c fakeConnector) Connect(context.Context) (driver.Conn, error) { return &fakeConn{c.f}, nil }
func (c fakeConnector) Driver() driver.Driver                        { return fakeDriver{} }

type fakeDriver struct{}

func (fakeDriver) Open(string) (driver.Conn, error) {
	return nil, fmt.Errorf("pooltest: a Fake is opened by NewFake")
}

// fakeConn is a connection of a Fake; they all share what it knows.
type fakeConn struct{ f *Fake }

var (
	_ driver.QueryerContext = (*fakeConn)(nil)
	_ driver.ExecerContext  = (*fakeConn)(nil)
	_ driver.ConnBeginTx    = (*fakeConn)(nil)
)

func (c *fakeConn) Close() error { return nil }
func (c *fakeConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}
func (c *fakeConn) Commit() error                  { c.f.note("COMMIT"); return nil }
func (c *fakeConn) Rollback() error                { c.f.note("ROLLBACK"); return nil }
func (c *fakeConn) Ping(ctx context.Context) error { return ctx.Err() }

func (c *fakeConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	c.f.note("BEGIN")
	return c, nil
}

func (c *fakeConn) Prepare(query string) (driver.Stmt, error) { return &fakeStmt{c, query}, nil }

func (c *fakeConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a, err := c.f.run(query, args)
	if err != nil {
		return nil, err
	}
	return &fakeRows{answer: a}, nil
}

func (c *fakeConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a, err := c.f.run(query, args)
	return driver.RowsAffected(a.Affected), err
}

// fakeStmt is a prepared statement.
type fakeStmt struct {
	c     *fakeConn
	query string
}

func (s *fakeStmt) Close() error  { return nil }
func (s *fakeStmt) NumInput() int { return -1 } // not known

func (s *fakeStmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.c.ExecContext(context.Background(), s.query, named(args))
}

func (s *fakeStmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.c.QueryContext(context.Background(), s.query, named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	all := make([]driver.NamedValue, len(args))
	for i, v := range args {
		all[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return all
}

// fakeRows are the rows of an answer.
type fakeRows struct {
	answer Answer
	next   int
}

func (r *fakeRows) Columns() []string { return r.answer.Columns }
func (r *fakeRows) Close() error      { return nil }

func (r *fakeRows) Next(dest []driver.Value) error {
	if r.next >= len(r.answer.Rows) {
		return io.EOF
	}
	if n := copy(dest, r.answer.Rows[r.next]); n < len(dest) {
		return fmt.Errorf("pooltest: row %d has %d values for the columns %s", r.next, n, strings.Join(r.answer.Columns, ", "))
	}
	r.next++
	return nil
}
