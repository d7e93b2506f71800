package pool

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/DATA-DOG/go-sqlmock"

	"github.com/dbpool-go/dbpool/config"
)

// mockPool returns a pool over sqlmock, which fails the test when what happens
// differs from what was expected, order included.
func mockPool(t *testing.T) (*Pool, sqlmock.Sqlmock) {
	t.Helper()
	p, _, mock, _ := mockPoolLog(t)
	return p, mock
}

func mockPoolLog(t *testing.T) (*Pool, *sql.DB, sqlmock.Sqlmock, *logLines) {
	t.Helper()
	db, mock, err := sqlmock.New(sqlmock.MonitorPingsOption(false))
	if err != nil {
		t.Fatal(err)
	}
	p, lines := poolOver(t, db, config.Default())
	t.Cleanup(func() {
		if err := mock.ExpectationsWereMet(); err != nil {
			t.Error(err)
		}
		if n := p.Stats().InUse; n != 0 {
			t.Errorf("%d connections not given back", n)
		}
	})
	return p, db, mock, lines
}

func poolOver(t *testing.T, db *sql.DB, cfg config.Config) (*Pool, *logLines) {
	t.Helper()
	lines := &logLines{}
	p, err := New(db, cfg, WithLogger(slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Close()
		_ = db.Close()
	})
	return p, lines
}

// logLines is what was logged, as slog's JSON.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// with returns the lines whose message is msg.
func (l *logLines) with(t *testing.T, msg string) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []map[string]any
	for d := json.NewDecoder(bytes.NewReader(l.buf.Bytes())); ; {
		var line map[string]any
		if err := d.Decode(&line); err == io.EOF {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if line["msg"] == msg {
			found = append(found, line)
		}
	}
}

// hookDriver is a driver whose steps the test controls. A nil hook succeeds.
type hookDriver struct {
	connect  func(ctx context.Context) error
	begin    func(ctx context.Context) error
	exec     func(ctx context.Context) error
	commit   func(txContext context.Context) error
	rollback func(txContext context.Context) error
	rows     func() driver.Rows
}

func (d *hookDriver) Driver() driver.Driver { return nil }
func (d *hookDriver) Connect(ctx context.Context) (driver.Conn, error) {
	return &hookConn{d: d}, hook(d.connect, ctx)
}

type hookConn struct {
	d  *hookDriver
	tx context.Context
}

func hook(h func(context.Context) error, ctx context.Context) error {
	if h == nil {
		return nil
	}
	return h(ctx)
}

func (c *hookConn) Prepare(string) (driver.Stmt, error) { return hookStmt{c}, nil }
func (c *hookConn) Close() error                        { return nil }
func (c *hookConn) Begin() (driver.Tx, error)           { panic("BeginTx is there") }
func (c *hookConn) Commit() error                       { return hook(c.d.commit, c.tx) }
func (c *hookConn) Rollback() error                     { return hook(c.d.rollback, c.tx) }

func (c *hookConn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	c.tx = ctx
	return c, hook(c.d.begin, ctx)
}

func (c *hookConn) ExecContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.ResultNoRows, hook(c.d.exec, ctx)
}

func (c *hookConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	if c.d.rows != nil {
		return c.d.rows(), nil
	}
	return endlessRows{}, nil
}

type hookStmt struct{ c *hookConn }

func (s hookStmt) Close() error                               { return nil }
func (s hookStmt) NumInput() int                              { return -1 }
func (s hookStmt) Exec([]driver.Value) (driver.Result, error) { return driver.ResultNoRows, nil }
func (s hookStmt) Query([]driver.Value) (driver.Rows, error)  { return endlessRows{}, nil }

// endlessRows never end by themselves.
type endlessRows struct{}

func (endlessRows) Columns() []string { return []string{"n"} }
func (endlessRows) Close() error      { return nil }
func (endlessRows) Next(dest []driver.Value) error {
	dest[0] = []byte("1")
	return nil
}

// hookPool returns a pool of one connection over d.
func hookPool(t *testing.T, d *hookDriver) (*Pool, *sql.DB) {
	t.Helper()
	db := sql.OpenDB(d)
	cfg := config.Default()
	cfg.PoolSize, cfg.MaxOverflow = 1, 0
	p, _ := poolOver(t, db, cfg)
	return p, db
}
