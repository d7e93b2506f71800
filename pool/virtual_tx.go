package pool

import (
	"context"
	"database/sql/driver"

	"github.com/dbpool-go/dbpool/internal/gate"
)

// laterTx is the transaction of a virtual connection that begins with its first
// statement. As long as it has not, it can begin on another connection.
type laterTx struct {
	driver.Tx                 // on the real connection; nil while there is none
	ctx       context.Context // nil for no such transaction
	opts      driver.TxOptions
}

// beginner is a connection on which a transaction can begin with its first statement.
type beginner interface {
	BeginLater(ctx context.Context, opts driver.TxOptions) (driver.Tx, error)
	BeginNow(ctx context.Context) error
	IsLate() bool
	BeginRefused() bool
}

var _ beginner = (*conn)(nil)

// beginLater takes a connection for a transaction that begins with its first
// statement where that can be, and else now. It is v's to end, by endTx.
func (v *virtual) beginLater(ctx context.Context, opts driver.TxOptions, standby bool) error {
	v.asksNone()
	v.chooseForTx(ctx, opts, standby || asksForStandby(ctx))
	v.tx = laterTx{ctx: ctx, opts: opts}
	_, err := onReal(ctx, v, gate.WantTransaction, func(backend) (struct{}, error) { return struct{}{}, nil })
	return err
}

// beginNow begins such a transaction, if that is still to be done.
func (v *virtual) beginNow(ctx context.Context) error {
	_, err := onReal(ctx, v, gate.WantTransaction, func(c backend) (struct{}, error) {
		if b, ok := c.(beginner); ok {
			return struct{}{}, b.BeginNow(ctx)
		}
		return struct{}{}, nil
	})
	return err
}

// startTx starts the transaction on a connection that it has not started on.
func (v *virtual) startTx() (err error) {
	if v.tx.ctx == nil || v.tx.Tx != nil {
		return nil
	}
	if b, ok := v.real.(beginner); ok {
		v.tx.Tx, err = b.BeginLater(v.tx.ctx, v.tx.opts)
	} else {
		v.tx.Tx, err = v.real.BeginTx(v.tx.ctx, v.tx.opts)
	}
	return err
}

// endTx commits or rolls back. Where there is no transaction there is nothing to do.
func (v *virtual) endTx(commit bool) error {
	switch {
	case v.tx.Tx == nil:
		return nil
	case commit:
		return v.noted(v.tx.Commit())
	}
	return v.noted(v.tx.Rollback())
}

// commitUnheard commits without waiting for the answer. It reports false, and has done
// nothing, where that cannot be.
func (v *virtual) commitUnheard() bool {
	t, ok := v.tx.Tx.(interface{ CommitUnheard() bool })
	return ok && t.CommitUnheard()
}

// isLate reports whether the transaction is still to begin on the real connection.
func (v *virtual) isLate() bool {
	b, ok := v.real.(beginner)
	return ok && b.IsLate()
}

// unserved reports whether an error that a statement returned is one of beginning
// its transaction: no connection was had, or the server refused to.
func (v *virtual) unserved() bool {
	if v.tx.ctx == nil {
		return false
	}
	b, ok := v.real.(beginner)
	return v.real == nil || ok && b.IsLate() && b.BeginRefused()
}

// wanted is what v wants of the gate for a call that by itself would want w.
func (v *virtual) wanted(w gate.Want) gate.Want {
	if v.tx.ctx != nil {
		return gate.WantTransaction
	}
	return w
}
