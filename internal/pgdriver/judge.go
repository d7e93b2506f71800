package pgdriver

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgconn"
)

// What happens to a statement when its connection ends under it: by a restart
// of the server, pg_terminate_backend, a failover, or a broken network.
//
// The pool takes another connection and goes on, and the caller notices
// nothing but the time, when the statement cannot have been executed:
//
//   - the connection had ended before the statement was sent: a look at the
//     socket finds that out, without a round trip. There is one before each use
//     of a connection that has rested for a millisecond (FreshFor), before
//     whatever cannot be tried again, and in doubt;
//   - nothing of the statement could be sent;
//   - only what pgx does before it was sent: the preparation of the statement,
//     or the end of prepared statements that are needed no more;
//   - it was BeginTx, PingContext or PrepareContext: they change nothing;
//   - a BEGIN went with it, and the server had not answered that, which it does
//     before it executes the statement (ahead.go);
//   - the server said that it was ending the session (endings) before it had
//     looked at the statement. The extended protocol, in which pgx sends queries
//     and everything with arguments, shows that;
//   - the server ended the session because it had been idle for too long
//     (57P05): in whatever protocol, it looks at that clock before each statement.
//
// The caller gets the error, because the work may have been done, when
//
//   - the statement was being executed, or the connection closed without an
//     error message after it was sent: the server crashed, or the network was cut;
//   - it was sent with ExecContext and without arguments, which pgx sends as a
//     simple query, and 57P01 was the answer: the moment between the look at
//     the socket and the server's reading it, a fraction of a millisecond;
//   - a transaction was open, Commit included: statements before it are lost
//     with it. The server has rolled it back, unless the Commit itself had
//     reached it: of that nobody can tell but by looking at the data;
//   - rows were being read;
//   - the connection was the caller's own, and something had been done on it: a
//     sql.Conn after its first statement, and a sql.Tx.

// ErrLostTx is the error of a statement of a transaction whose connection broke
// before the statement was executed.
var ErrLostTx = fmt.Errorf("pool: connection lost, and the transaction with it; this statement was not executed: %w", io.ErrUnexpectedEOF)

// endsSession reports whether these are the words with which a server ends a
// session whatever it is doing, and takes a new one, now or soon.
func endsSession(pg *pgconn.PgError) bool {
	if cmp.Or(pg.SeverityUnlocalized, pg.Severity) != "FATAL" {
		return false
	}
	switch pg.Code {
	case StateAdminShutdown, // pg_terminate_backend, a restart
		StateIdleTimeout,
		StateDatabaseDropped, // on a standby
		StateSerialization:   // a standby's conflict with what it replays
		return true
	}
	return false
}

// judge turns an error of the driver into one that database/sql and callers can act on.
func (c *Conn) judge(ctx context.Context, err error) error {
	if err != nil {
		c.noteReadOnly(err)
	}
	switch {
	case err == nil:
		return nil
	case c.exchange.refused.Load():
		return &CopyError{err}
	case ctx.Err() != nil:
		return c.judgeCanceled(ctx, err)
	case c.endedUnheard(err):
		return driver.ErrBadConn
	case !c.isLoss(err):
		return err
	case !c.exchange.wasExecuted() && c.inTx:
		return ErrLostTx
	case !c.exchange.wasExecuted():
		return driver.ErrBadConn
	case err == driver.ErrBadConn || pgconn.SafeToRetry(err) || errors.Is(err, pgconn.ErrConnClosed):
		// When a simple query loses its connection, pgx 5.12 says that nothing
		// was sent and 5.13 that the connection is closed. Both look at the state
		// that it is in now, not at the one it was in.
		return ErrLost
	}
	return err
}

// isLoss reports whether err is the connection's, and not the server's word on a
// statement, nor a panic.
func (c *Conn) isLoss(err error) bool {
	var pg *pgconn.PgError
	var panicked *PanicError
	return (c.IsClosed() || err == driver.ErrBadConn) && !errors.As(err, &pg) && !errors.As(err, &panicked)
}

// judgeCanceled is judge for a context that has ended. Where that happened
// before anything was sent, pgx calls it safe to retry, and stdlib would have
// the connection thrown away.
func (c *Conn) judgeCanceled(ctx context.Context, err error) error {
	if err == driver.ErrBadConn && !c.IsClosed() {
		return ctx.Err()
	}
	return Canceled(ctx, err)
}

// endedUnheard reports whether the server ended the session before it looked at
// the statement. A pooler's server may be another one than the statement's.
func (c *Conn) endedUnheard(err error) bool {
	var pg *pgconn.PgError
	if c.inTx || c.settings.Pooled || !errors.As(err, &pg) || !endsSession(pg) {
		return false
	}
	return !c.exchange.wasExecuted() || c.exchange.unanswered() || pg.Code == StateIdleTimeout && c.exchange.failedFirst()
}

// judgeHarmless is judge for what changes nothing on the server, and so can be
// tried again whatever became of it.
func (c *Conn) judgeHarmless(ctx context.Context, err error) error {
	if _, panicked := err.(*PanicError); !panicked && err != nil && c.IsClosed() && ctx.Err() == nil && !c.inTx {
		return driver.ErrBadConn
	}
	return c.judge(ctx, err)
}
