package pool

import (
	"context"
	"database/sql/driver"
	"testing"
	"time"
)

// panicValuer is an argument whose conversion panics in the driver call.
type panicValuer struct{}

func (panicValuer) Value() (driver.Value, error) { panic("valuer") }

func recovered(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

func TestPanicInAQueryCostsNoConnection(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	defer p.Close()
	if v := recovered(func() { _, _ = p.QueryContext(t.Context(), "select $1::text", panicValuer{}) }); v != "valuer" {
		t.Error("the panic became", v)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	var n int
	err := p.QueryRowContext(ctx, "select 1").Scan(&n)
	if err != nil {
		t.Error("the pool is dead after one panic:", err)
	}
}

func TestPanicInAQueryEndsTheSession(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	done := make(chan any, 1)
	go func() {
		done <- recovered(func() {
			_ = p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
				_, err := s.QueryContext(ctx, "select $1::text", panicValuer{})
				return err
			})
		})
	}()
	select {
	case <-done:
		p.Close()
	case <-time.After(12 * time.Second):
		t.Error("WithSession hangs after the panic; ", p)
	}
}

func TestPanicInAStatementEndsTheTransaction(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tx, _ := p.BeginTx(t.Context(), nil)
		recovered(func() { _, _ = tx.ExecContext(t.Context(), "select $1::text", panicValuer{}) })
		_ = tx.Rollback()
	}()
	select {
	case <-done:
		p.Close()
	case <-time.After(8 * time.Second):
		t.Error("Rollback hangs after a panic in Tx.Exec", p)
	}
}

// As in a COPY callback.
func TestPanicInRawCostsNoConnection(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	defer p.Close()
	c, _ := p.Conn(t.Context())
	recovered(func() { _ = c.Raw(func(any) error { panic("x") }) })
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := p.PingContext(ctx); err != nil {
		t.Error(err)
	}
	var n int
	if err := p.QueryRowContext(ctx, "select 1").Scan(&n); err != nil {
		t.Error(err)
	}
}
