package pool

import (
	"context"
	"database/sql"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// interrupter is a connection whose running call can be made to fail, which
// costs the connection.
type interrupter interface{ Interrupt() }

// claim takes the connection for the session's end. A statement of another
// goroutine may be using it: a commit waits for that as long as ctx, the
// session's, has not ended. Else, and then, it has endGrace left before its
// connection is broken under it. When not even that brings it back, in a
// driver.Valuer that hangs, claim returns false and the connection goes back
// to the pool as soon as the statement returns.
func (c *sessionConn) claim(ctx context.Context, commit bool) bool {
	if commit {
		select {
		case c.mu <- struct{}{}:
			return true
		case <-ctx.Done():
		}
	}
	if c.mu.within(endGrace) {
		return true
	}
	c.interrupt()
	if c.mu.within(pgdriver.CancelBound) {
		return true
	}
	go func() { // ends when the statement returns
		c.mu.Lock()
		defer c.mu.Unlock()
		_ = c.finishLocked(false, errStuck)
	}()
	return false
}

func (c *sessionConn) interrupt() {
	if real, ok := c.backend().(interrupter); ok {
		real.Interrupt()
	}
}

// finishLocked ends the transaction, once, and gives the connection back. What
// the driver's callers do afterwards fails with over.
func (c *sessionConn) finishLocked(commit bool, over error) error {
	switch {
	case c.over == nil:
	case commit:
		return sql.ErrTxDone // not by us
	default:
		return nil
	}
	c.over = over
	defer c.inner.giveBack(true)
	c.closeOpenLocked(commit)
	defer c.noteLossLocked()
	if commit && c.readsOnly && c.inner.commitUnheard() {
		return nil
	}
	return c.inner.endTx(commit)
}

// noteLossLocked notes whether the connection has ended before it was given back.
func (c *sessionConn) noteLossLocked() {
	real, ok := c.backend().(interface{ IsClosed() bool })
	c.lost = ok && real.IsClosed()
}

// closeOpenLocked closes what the work left open. A commit needs every
// statement to have been executed to its end; for a rollback the rest is
// cancelled on the server, where that can be.
func (c *sessionConn) closeOpenLocked(commit bool) {
	for len(c.rows) > 0 {
		r := c.rows[0]
		end := r.cut
		if commit {
			end = r.Rows.Close
		}
		_ = r.closeLocked(end)
	}
	for s := range c.stmt {
		_ = s.Stmt.Close()
	}
	c.stmt = nil
	if c.scan != nil {
		c.scan.Stop()
	}
}

// spoilReadLocked keeps the connection of another driver from being used again
// when rows are read on it at this moment: the bytes that its reader scans may
// belong to the driver. pgx's belong to their reader.
func (c *sessionConn) spoilReadLocked() {
	real := c.backend()
	if _, ours := real.(*conn); !ours && real != nil && len(c.rows) > 0 {
		real.RetireFor(connstate.CloseUnclean)
	}
}
