package pool

import (
	"context"
	"database/sql"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// ExecContext runs a statement that returns no rows, as sql.DB.ExecContext does.
// The wait for a connection is bounded by Config.PoolTimeout; ending ctx cancels
// the statement on the server.
func (p *Pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	r, err := p.front.ExecContext(ctx, query, args...)
	return r, p.seen(err)
}

// QueryContext runs a statement that returns rows, as sql.DB.QueryContext does.
// The connection is held until the rows are closed or read to the end.
//
// A Scanner must not panic where Rows.Close is deferred: database/sql then waits for
// ever for a lock that the same goroutine holds. The goroutine is lost; the
// connection is taken from it 5 to 6 s after ctx has ended, and never without
// such an end, unless Config.ReclaimAfter says so. The same holds for whoever
// keeps sql.RawBytes that long after the end of ctx, and for transactions.
func (p *Pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := p.front.QueryContext(ctx, query, args...)
	return rows, p.seen(err)
}

// QueryRowContext runs a statement that returns at most one row, as
// sql.DB.QueryRowContext does: errors, those of the wait among them, come from Row.Scan.
// The row has been read, and the connection given back, when it returns: a Row that
// is never scanned holds nothing, nor does one whose Scan blocks. A Scanner must
// not panic there all the same: database/sql then waits for ever for a lock that
// the same goroutine holds. (Through [Pool.DB] the connection is held until the
// Row was scanned; what QueryContext says of its rows holds for it.)
func (p *Pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row := p.front.QueryRowContext(forRow(ctx), query, args...)
	if err := row.Err(); err != nil {
		if seen := p.seen(err); seen != err {
			return rowOf(seen)
		}
	}
	return row
}

// PingContext makes a round trip to the server, opening a connection if need be.
func (p *Pool) PingContext(ctx context.Context) error {
	return p.seen(p.front.PingContext(ctx))
}

// PrepareContext prepares a statement for use with any connection of the pool,
// as sql.DB.PrepareContext does. Each execution waits for a connection like any
// other statement. The caller closes the statement. It can be used in the pool's
// transactions (Tx.StmtContext), not in those of [Pool.DB], nor the reverse:
// database/sql takes them for two databases and says so.
//
// Such a statement is checked once on each connection that it runs on. One that is
// prepared with a *sql.Conn, a *sql.Tx or a Session is prepared in that session: parsed
// once, whatever pgx's mode, and deallocated when it is closed, with a round trip, or
// before somebody else has the session. Behind a pooler it is not.
//
// database/sql closes what was prepared on a connection under a lock of that
// connection. The pool's connections are virtual, and one may be waiting for its
// turn: so Stmt.Close may take until that caller has been served, pool_timeout at most.
func (p *Pool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	s, err := p.front.PrepareContext(ctx, query)
	return s, p.seen(err)
}

// BeginTx starts a transaction, as sql.DB.BeginTx does. When ctx ends, the
// transaction is rolled back on the server and its connection goes back to the pool.
func (p *Pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	tx, err := p.front.BeginTx(ctx, opts)
	return tx, p.seen(err)
}

// Conn returns a single connection, as sql.DB.Conn does. It is held until Conn.Close.
//
// pgx itself, with COPY and batches, is behind sql.Conn.Raw: the
// function given to it gets a value with the method Conn() *pgx.Conn. It is not
// *stdlib.Conn, which pgx's own documents tell to ask for: that one would have
// neither the pool's bookkeeping nor its cancellation. What runs there shows in
// [Pool.Holders] like any statement.
//
// A session keeps its state for whoever has it next: SET, SET ROLE, temporary
// tables, advisory locks, LISTEN. Inside a transaction SET LOCAL and
// set_config(…, true) end with it; prefer them, or set DB_RESET=discard.
func (p *Pool) Conn(ctx context.Context) (*sql.Conn, error) {
	c, err := p.front.Conn(ctx)
	return c, p.seen(err)
}

// seen gives an error of database/sql the form that callers of the pool branch
// on. A panic goes on as such.
func (p *Pool) seen(err error) error {
	if err == nil {
		return nil
	}
	if panicked, ok := err.(*pgdriver.PanicError); ok {
		panic(panicked.Value)
	}
	if p.closed.Load() && err.Error() == errDBClosed {
		return p.errClosed()
	}
	return err
}

// errDBClosed is what a *sql.DB says that was closed; it has no name for it.
const errDBClosed = "sql: database is closed"
