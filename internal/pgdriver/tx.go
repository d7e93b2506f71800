package pgdriver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// RollbackTimeout bounds a rollback, which runs after its context has ended. A
// server that does not answer within it loses the connection, and with it the transaction.
const RollbackTimeout = 5 * time.Second

// tx is a transaction. It differs from stdlib's in the end of a cancelled one:
// that is rolled back on the server and its connection lives on.
type tx struct {
	c   *Conn
	ctx context.Context
}

var _ driver.Tx = (*tx)(nil)

// ErrTransactionEnded is returned by the commit, and the rollback, of a
// transaction that its own work has ended: with COMMIT, ROLLBACK or PREPARE
// TRANSACTION as SQL. What the work did before is committed or lost, as that
// statement said; each statement after it was committed by itself.
var ErrTransactionEnded = errors.New("pool: the work ended its own transaction, by COMMIT, ROLLBACK or PREPARE TRANSACTION as SQL: statements after that were not part of it; end a session by what its work returns or by Session.Commit and Rollback, a transaction by Tx.Commit and Rollback")

// ErrCommitUnknown is what errors.Is finds in the error of a commit of which
// nobody can tell whether it was done: its connection was lost after COMMIT had
// been sent. Only the data tells. Work that is repeated after it may be done twice.
var ErrCommitUnknown = errors.New("the connection was lost during the commit, which may have been done or not; look at the data before you do the work again")

// isolation levels as PostgreSQL writes them; it has no others.
var isolation = map[sql.IsolationLevel]string{
	sql.LevelDefault:         "",
	sql.LevelReadUncommitted: " isolation level read uncommitted",
	sql.LevelReadCommitted:   " isolation level read committed",
	sql.LevelRepeatableRead:  " isolation level repeatable read",
	sql.LevelSnapshot:        " isolation level repeatable read",
	sql.LevelSerializable:    " isolation level serializable",
}

// BeginTx begins a transaction. A connection that turns out to be dead is
// reported as driver.ErrBadConn, so that database/sql takes another: nothing
// has been done yet, whatever the server made of the BEGIN.
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	begin, err := c.beginText(opts)
	if err != nil {
		return nil, err
	}
	t := &tx{c: c, ctx: ctx}
	if err := c.beginTx(ctx, t, begin, opts.ReadOnly); err != nil {
		return nil, err
	}
	return t, nil
}

// beginText is the SQL that begins a transaction.
func (c *Conn) beginText(opts driver.TxOptions) (string, error) {
	level, ok := isolation[sql.IsolationLevel(opts.Isolation)]
	if !ok {
		return "", fmt.Errorf("pool: isolation level %s does not exist in PostgreSQL; use read committed, repeatable read or serializable", sql.IsolationLevel(opts.Isolation))
	}
	begin := "begin" + level
	if opts.ReadOnly {
		begin += " read only"
	}
	return begin + c.settings.BeginSuffix, nil
}

// beginTx begins t in a round trip of its own.
func (c *Conn) beginTx(ctx context.Context, t *tx, begin string, readOnly bool) error {
	if err := c.exec(ctx, begin); err != nil {
		if !c.IsClosed() && c.txStatus() != 'I' {
			_ = t.rollback() // cut short in the middle; what it returns changes nothing
		}
		return c.judgeHarmless(ctx, err)
	}
	c.begun(t, readOnly)
	c.exchange.tags.begin()
	return nil
}

// begun notes that the server has begun t.
func (c *Conn) begun(t *tx, readOnly bool) {
	c.inTx, c.txEnded, c.readOnlyTx = true, false, readOnly
	c.under.Store(t)
}

// Begin is BeginTx for callers without a context.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// Commit commits. A transaction that had failed is rolled back by the server
// instead, which is reported as pgx.ErrTxCommitRollback.
func (t *tx) Commit() error {
	defer t.over()
	if t.c.IsLate() && !t.c.IsClosed() {
		return nil // it was never begun
	}
	if t.c.noteTxEnd() {
		return errors.Join(ErrTransactionEnded, t.rollback())
	}
	t.c.exchange.tags.end()
	if err := t.c.begin(t.ctx); err != nil {
		return errors.Join(err, t.rollback())
	}
	progress := t.progress()
	results, err := t.c.run(t.ctx, t.commitText(progress))
	if progress != nil && noteCommit(progress, results) {
		return nil
	}
	if err != nil {
		return t.uncommitted(err)
	}
	if len(results) > 0 && results[0].CommandTag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// uncommitted ends a transaction whose COMMIT failed. Where the connection has
// ended too, nobody can tell whether it failed before or after it was done.
func (t *tx) uncommitted(err error) error {
	executed := t.c.exchange.wasExecuted()
	err = t.c.judge(t.ctx, err)
	switch {
	case t.c.IsClosed() && executed:
		return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
	case t.c.IsClosed(), t.c.PgConn().TxStatus() == 'I':
		return err
	}
	return errors.Join(err, t.rollback())
}

// Rollback rolls back, also when the transaction's context has ended.
func (t *tx) Rollback() error {
	defer t.over()
	if t.c.IsLate() {
		return nil // it was never begun
	}
	if t.c.noteTxEnd() {
		return errors.Join(ErrTransactionEnded, t.rollback())
	}
	return t.rollback()
}

// rollback tries twice: a late cancel request may hit the first try.
func (t *tx) rollback() error {
	if t.c.IsClosed() {
		return nil // the server has rolled back what it lost the client of
	}
	if t.c.txEnded && t.c.PgConn().TxStatus() == 'I' {
		return nil // there is none
	}
	t.c.exchange.tags.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), RollbackTimeout)
	defer cancel()
	err := t.c.exec(ctx, "rollback")
	if SQLState(err) == StateQueryCanceled {
		err = t.c.exec(ctx, "rollback")
	}
	return err
}

func (t *tx) over() {
	t.c.inTx, t.c.readOnlyTx, t.c.late = false, false, late{}
	t.c.under.Store(nil)
	t.c.exchange.tags.end()
}

// noteTxEnd looks at what the server has said last, and reports whether the
// transaction under way has ended by then, even if another has begun since.
func (c *Conn) noteTxEnd() bool {
	c.txEnded = c.txEnded || c.inTx && !c.IsClosed() && (c.PgConn().TxStatus() == 'I' || c.exchange.tags.ended.Load())
	return c.txEnded
}
