package pool

import (
	"context"
	"database/sql/driver"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// WithPgx calls fn with a connection of pgx's own, for what goes beyond single
// statements: COPY, batches, LISTEN, custom types, large objects. It takes the
// connection through the gate, as a Conn does, and gives it back when fn returns,
// whose error it returns. A transaction that fn leaves open is rolled back, by
// closing the connection. fn may use the connection until it returns, from one
// goroutine at a time, and must not close it. Settings that fn makes in the
// session stay for its next user: SET LOCAL and set_config(…, true) do not.
//
// Ending ctx cancels what runs under it.
func (p *Pool) WithPgx(ctx context.Context, fn func(ctx context.Context, c *pgx.Conn) error) error {
	return p.Pgx().with(ctx, func(c *conn) error { return fn(ctx, c.Pgx()) })
}

// with calls fn with a connection that was alive a moment ago.
func (x *Pgx) with(ctx context.Context, fn func(*conn) error) error {
	v, err := x.lend()
	if err != nil {
		return err
	}
	sound := false
	defer func() { v.done(sound) }()
	c, err := v.nativeConn(ctx)
	if err != nil {
		sound = true
		return err
	}
	err = pgdriver.Canceled(ctx, fn(c))
	sound = true
	return err
}

// nativeConn takes a connection that was alive a moment ago.
func (v *virtual) nativeConn(ctx context.Context) (*conn, error) {
	if err := v.hold(ctx); err != nil {
		return nil, err
	}
	v.pinned = true
	return v.real.(*conn), nil
}

// CopyFrom copies rows into a table, as pgxpool.Pool.CopyFrom does.
func (x *Pgx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (n int64, err error) {
	err = x.with(ctx, func(c *conn) error {
		n, err = c.Pgx().CopyFrom(ctx, table, columns, rows)
		return err
	})
	return n, err
}

// SendBatch sends the statements of a batch at once, as pgxpool.Pool.SendBatch
// does. The connection is held until the results are closed, or, where the batch
// begins a transaction, until the end of that.
func (x *Pgx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	v, err := x.lend()
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	c, err := v.nativeConn(ctx)
	if err != nil {
		v.done(true)
		return pgx.FailedBatchResults(b, err)
	}
	held := &heldBatch{BatchResults: c.Pgx().SendBatch(ctx, b), v: v}
	if tx := held.BatchResults.Tx(); tx != nil {
		held.tx, held.v = &heldTx{Tx: tx, v: v}, nil
	}
	return held
}

// heldBatch are results that hold their connection until they are closed.
type heldBatch struct {
	pgx.BatchResults
	v  *virtual // nil once closed, or when the transaction holds it
	tx *heldTx  // nil unless the batch began one
}

// Close reads what is left and gives the connection back.
func (b *heldBatch) Close() error {
	err := b.BatchResults.Close()
	if b.v != nil {
		b.v.done(true)
		b.v = nil
	}
	return err
}

// Tx returns the transaction that the batch began; nil without one.
func (b *heldBatch) Tx() pgx.Tx {
	if b.tx == nil {
		return nil
	}
	return b.tx
}

// Begin begins a transaction, as pgxpool.Pool.Begin does.
func (x *Pgx) Begin(ctx context.Context) (pgx.Tx, error) { return x.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx begins a transaction, as pgxpool.Pool.BeginTx does. The connection is
// held until Commit or Rollback. ctx is that of the BEGIN alone.
func (x *Pgx) BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error) {
	v, err := x.lend()
	if err != nil {
		return nil, err
	}
	v.asksNone()
	v.chooseForTx(ctx, driver.TxOptions{ReadOnly: options.AccessMode == pgx.ReadOnly && options.IsoLevel != pgx.Serializable}, asksForStandby(ctx))
	tx, err := onReal(ctx, v, gate.WantTransaction, func(b backend) (pgx.Tx, error) {
		return b.(*conn).BeginNative(ctx, options)
	})
	if err != nil {
		v.done(true)
		return nil, err
	}
	return &heldTx{Tx: tx, v: v}, nil
}

// heldTx is a transaction that holds its connection until its end.
type heldTx struct {
	pgx.Tx
	v *virtual // nil once over
}

// Commit commits and gives the connection back.
func (t *heldTx) Commit(ctx context.Context) error {
	defer t.over()
	return t.Tx.Commit(ctx)
}

// Rollback rolls back, also when ctx has ended, and gives the connection back.
func (t *heldTx) Rollback(ctx context.Context) error {
	defer t.over()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pgdriver.RollbackTimeout)
	defer cancel()
	return t.Tx.Rollback(ctx)
}

func (t *heldTx) over() {
	if t.v != nil {
		t.v.done(true)
		t.v = nil
	}
}
