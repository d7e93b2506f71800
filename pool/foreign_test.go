package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

type badConn struct {
	*hookConn
	n    int
	died *atomic.Bool
}

func (c badConn) ExecContext(ctx context.Context, q string, a []driver.NamedValue) (driver.Result, error) {
	if c.n == 1 && c.died.Load() {
		return nil, driver.ErrBadConn
	}
	return driver.ResultNoRows, nil
}

type badDriver struct {
	died  atomic.Bool
	conns atomic.Int32
}

func (d *badDriver) Connect(context.Context) (driver.Conn, error) {
	return badConn{&hookConn{d: &hookDriver{}}, int(d.conns.Add(1)), &d.died}, nil
}
func (d *badDriver) Driver() driver.Driver { return nil }

type plainTxDriver struct{}

func (plainTxDriver) Connect(context.Context) (driver.Conn, error) { return plainTxConn{}, nil }
func (plainTxDriver) Driver() driver.Driver                        { return nil }

type plainTxConn struct{}

func (plainTxConn) Prepare(string) (driver.Stmt, error) { return hookStmt{}, nil }
func (plainTxConn) Close() error                        { return nil }
func (plainTxConn) Begin() (driver.Tx, error)           { return plainTxConn{}, nil }
func (plainTxConn) Commit() error                       { return nil }
func (plainTxConn) Rollback() error                     { return nil }

func TestForeignDeadConnectionIsDropped(t *testing.T) {
	d := &badDriver{}
	plain := sql.OpenDB(d)
	plain.Exec("x")
	d.died.Store(true)
	if _, err := plain.Exec("x"); err != nil {
		t.Error("plain database/sql:", err)
	}
	plain.Close()
	d = &badDriver{}
	cfg := config.Default()
	p, _ := poolOver(t, sql.OpenDB(d), cfg)
	p.ExecContext(t.Context(), "x")
	d.died.Store(true) // the server closed connection 1
	for range 5 {
		_, err := p.ExecContext(t.Context(), "x")
		if err != nil {
			t.Errorf("through the pool: %v", err)
		}
	}
}

func TestForeignTransactionOptionsAreNotDropped(t *testing.T) {
	db := sql.OpenDB(plainTxDriver{})
	_, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	p, _ := poolOver(t, sql.OpenDB(plainTxDriver{}), config.Default())
	tx, err2 := p.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelSerializable})
	if err != nil && err2 == nil {
		t.Error("READ ONLY SERIALIZABLE was dropped silently")
		tx.Rollback()
	}
	db.Close()
}

// TestForeignDialThatHangs has a driver that does not come back from opening a
// connection: its caller waits for pool_timeout and no longer.
func TestForeignDialThatHangs(t *testing.T) {
	d := &hookDriver{connect: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	inPool(t, 1, d, func(t *testing.T, p *Pool, _ *logLines) {
		asked := time.Now()
		if _, err := p.ExecContext(t.Context(), "x"); !errors.Is(err, ErrPoolTimeout) {
			t.Error(err)
		}
		if took := time.Since(asked); took != p.cfg.PoolTimeout {
			t.Errorf("after %s", took)
		}
	})
}

// TestForeignDeadConnections has more idle connections die than database/sql
// would try by itself, for each kind of call.
func TestForeignDeadConnections(t *testing.T) {
	const size = 6
	calls := map[string]func(ctx context.Context, p *Pool) error{
		"ExecContext": func(ctx context.Context, p *Pool) error { _, err := p.ExecContext(ctx, "x"); return err },
		"BeginTx": func(ctx context.Context, p *Pool) error {
			tx, err := p.BeginTx(ctx, nil)
			if err == nil {
				err = tx.Rollback()
			}
			return err
		},
		"DB": func(ctx context.Context, p *Pool) error { _, err := p.DB().ExecContext(ctx, "x"); return err },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			var dead atomic.Int32
			die := func(context.Context) error {
				if dead.Add(-1) >= 0 {
					return driver.ErrBadConn
				}
				return nil
			}
			inPool(t, size, &hookDriver{exec: die, begin: die}, func(t *testing.T, p *Pool, _ *logLines) {
				openAll(t, p, size)
				dead.Store(size)
				if err := call(t.Context(), p); err != nil {
					t.Error(err)
				}
				if s := p.Stats(); s.Closed.Broken != size || s.InUse != 0 {
					t.Errorf("closed %+v, %d in use", s.Closed, s.InUse)
				}
			})
		})
	}
}

type panickingValuer struct{}

func (panickingValuer) Value() (driver.Value, error) { panic("boom") }

// TestForeignPanicOfAValuer costs the connection, which nobody can tell the state
// of, and not the place.
func TestForeignPanicOfAValuer(t *testing.T) {
	inPool(t, 1, &hookDriver{}, func(t *testing.T, p *Pool, _ *logLines) {
		for name, call := range map[string]func(){
			"Exec":  func() { _, _ = p.ExecContext(t.Context(), "x", panickingValuer{}) },
			"Query": func() { _, _ = p.QueryContext(t.Context(), "x", panickingValuer{}) },
			"Row":   func() { _ = p.QueryRowContext(t.Context(), "x", panickingValuer{}) },
		} {
			func() {
				defer func() {
					if v := recover(); v != "boom" {
						t.Errorf("%s: recovered %v", name, v)
					}
				}()
				call()
			}()
			if s := p.Stats(); s.InUse != 0 {
				t.Errorf("%s: %d in use", name, s.InUse)
			}
		}
		if _, err := p.ExecContext(t.Context(), "x"); err != nil {
			t.Error(err)
		}
	})
}

// TestForeignStatementIsPreparedOnce expects it so of go-sqlmock.
func TestForeignStatementIsPreparedOnce(t *testing.T) {
	p, mock := mockPool(t)
	prepared := mock.ExpectPrepare("insert")
	prepared.ExpectExec().WithArgs(1).WillReturnResult(driver.ResultNoRows)
	prepared.ExpectExec().WithArgs(2).WillReturnResult(driver.ResultNoRows)
	s, err := p.PrepareContext(t.Context(), "insert")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		if _, err := s.ExecContext(t.Context(), n); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestNewNamesTheSettingsItDoesNotKeep(t *testing.T) {
	cfg := config.Default()
	cfg.ReclaimAfter = time.Minute
	_, log := poolOver(t, sql.OpenDB(&hookDriver{}), cfg)
	lines := log.with(t, "settings without effect over a *sql.DB that the pool did not open")
	if len(lines) != 1 || !strings.Contains(lines[0]["settings"].(string), "DB_STATEMENT_TIMEOUT, DB_RECLAIM_AFTER") {
		t.Errorf("%v", lines)
	}
}
