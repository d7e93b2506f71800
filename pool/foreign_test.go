package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync/atomic"
	"testing"

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
