package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// ExecContext runs a statement that returns no rows, as sql.DB.ExecContext does.
// The wait for a connection is bounded by Config.PoolTimeout; ending ctx cancels
// the statement on the server.
func (p *Pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if p.db == nil {
		return p.leases.ExecContext(ctx, query, args...)
	}
	k, err := p.enter(ctx)
	if err != nil {
		return nil, err
	}
	return look(p, k, func() (sql.Result, error) { return p.db.ExecContext(k, query, args...) })
}

// QueryContext runs a statement that returns rows, as sql.DB.QueryContext does.
// The connection is held until the rows are closed or read to the end.
func (p *Pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if p.db == nil {
		return p.leases.QueryContext(ctx, query, args...)
	}
	k, err := p.enter(ctx)
	if err != nil {
		return nil, err
	}
	return look(p, k, func() (*sql.Rows, error) { return p.db.QueryContext(k, query, args...) })
}

// QueryRowContext runs a statement that returns at most one row, as
// sql.DB.QueryRowContext does: errors, those of the wait among them, come from Row.Scan.
func (p *Pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if p.db == nil {
		return p.leases.QueryRowContext(ctx, query, args...)
	}
	k, err := p.enter(ctx)
	if err != nil {
		return rowOf(err)
	}
	row, err := look(p, k, func() (*sql.Row, error) {
		row := p.db.QueryRowContext(k, query, args...)
		return row, row.Err()
	})
	if err != nil && row.Err() != err {
		return rowOf(err)
	}
	return row
}

// PingContext makes a round trip to the server, opening a connection if need be.
func (p *Pool) PingContext(ctx context.Context) error {
	if p.db == nil {
		return p.leases.PingContext(ctx)
	}
	k, err := p.enter(ctx)
	if err != nil {
		return err
	}
	_, err = look(p, k, func() (struct{}, error) { return struct{}{}, p.db.PingContext(k) })
	return err
}

// PrepareContext prepares a statement for use with any connection of the pool,
// as sql.DB.PrepareContext does. Each execution waits for a connection like any
// other statement. The caller closes the statement.
func (p *Pool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if p.closed.Load() {
		return nil, ErrClosed
	}
	return p.leases.PrepareContext(ctx, query)
}

// BeginTx starts a transaction, as sql.DB.BeginTx does. When ctx ends, the
// transaction is rolled back on the server and its connection goes back to the pool.
func (p *Pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	if p.closed.Load() {
		return nil, ErrClosed
	}
	return p.leases.BeginTx(ctx, opts)
}

// Conn returns a single connection, as sql.DB.Conn does. It is held until Conn.Close.
func (p *Pool) Conn(ctx context.Context) (*sql.Conn, error) {
	if p.closed.Load() {
		return nil, ErrClosed
	}
	return p.leases.Conn(context.WithValue(ctx, leaseKey{}, leaseForOwner))
}

// lookAgain reports whether err means that nothing was done and the call may be made again.
func lookAgain(err error) bool { return errors.Is(err, driver.ErrBadConn) || err == errLookAgain }
