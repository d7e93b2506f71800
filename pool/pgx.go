package pool

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// Pgx is the pool as pgx's users know pools: its methods have the signatures of
// pgxpool.Pool, and pgx's own types. They take connections through the same gate
// as all others, with the same timeout, order, statistics and leak detection,
// and database/sql is not involved. What is written against pgxpool's interfaces
// takes it: code that sqlc generates, scany's pgxscan.
//
// All methods may be called concurrently. A Pgx needs no closing.
type Pgx struct{ p *Pool }

// errNoPgx is what the methods of a pool return that New made.
var errNoPgx = errors.New("pool: this pool was made by New, over a *sql.DB; pgx's own face needs one that Open has made")

// Pgx returns the face of the pool for pgx's own types.
func (p *Pool) Pgx() *Pgx { return &Pgx{p} }

// lend returns a holder for one call.
func (x *Pgx) lend() (*virtual, error) {
	if x.p.foreign != nil {
		return nil, errNoPgx
	}
	if x.p.closed.Load() {
		return nil, x.p.errClosed()
	}
	v, _ := x.p.natives.Get().(*virtual)
	if v == nil {
		v = &virtual{p: x.p, shares: sharesAlways}
	}
	v.permit.Callsite = x.p.callers.Capture()
	return v, nil
}

// done gives the holder's connection back, and the holder to the next call.
func (v *virtual) done(sound bool) {
	v.giveBack(sound)
	v.p.natives.Put(v)
}

// RowsClosed is done, for rows that held the connection.
func (v *virtual) RowsClosed() { v.done(true) }

// Exec runs a statement that returns no rows, as pgxpool.Pool.Exec does. Without
// arguments it may be several statements.
func (x *Pgx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	v, err := x.lend()
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer v.done(true)
	v.asks(sql)
	call := func(b backend) (pgconn.CommandTag, error) { return b.(*conn).Exec(ctx, sql, args) }
	if len(args) > 0 && v.nativeOffers(sql, args) {
		return onShared(ctx, v, tagOf, call)
	}
	return onReal(ctx, v, gate.WantStatement, call)
}

// Query runs a statement that returns rows, as pgxpool.Pool.Query does. The
// connection is held until the rows are closed or read to the end. Rows.Conn is
// nil where several callers' statements were sent together.
func (x *Pgx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	v, err := x.lend()
	if err != nil {
		return failedRows{err}, err
	}
	rows, err := v.nativeRows(ctx, sql, args)
	if err != nil {
		return failedRows{err}, err
	}
	return rows, nil
}

// nativeRows runs a query. The holder is done with, unless the rows hold it.
func (v *virtual) nativeRows(ctx context.Context, sql string, args []any) (rows pgx.Rows, err error) {
	v.asks(sql)
	v.chooseForQuery(ctx, sql)
	kept, finished := false, false
	defer func() {
		if !kept {
			v.done(finished) // else an argument panicked
		}
	}()
	call := func(b backend) (pgx.Rows, error) {
		r, err := b.(*conn).Query(ctx, v, sql, args)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	if v.nativeOffers(sql, args) {
		rows, err = onShared(ctx, v, nativeRowsOf, call) //nolint:sqlclosecheck // the caller's to close
	} else {
		rows, err = onReal(ctx, v, gate.WantStatement, call) //nolint:sqlclosecheck // the caller's to close
	}
	finished = true
	_, held := rows.(*pgdriver.HeldRows)
	kept = held && err == nil
	return rows, err
}

// QueryRow runs a statement that returns at most one row, as
// pgxpool.Pool.QueryRow does: errors, those of the wait among them, come from Row.Scan.
func (x *Pgx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := x.Query(ctx, sql, args...)
	return pgdriver.Row{Rows: rows, Err: err}
}

// Ping makes a round trip to the server.
func (x *Pgx) Ping(ctx context.Context) error {
	v, err := x.lend()
	if err != nil {
		return err
	}
	defer v.done(true)
	return v.Ping(ctx)
}

// nativeOffers is offers for pgx's own types.
func (v *virtual) nativeOffers(sql string, args []any) bool {
	if v.p.table == nil || pgdriver.HasOptions(args) {
		return false
	}
	return v.offersAs(sql, offer{face: pgdriver.PgxFace, values: args})
}

func tagOf(c *pgdriver.Call) (pgconn.CommandTag, error) {
	defer c.Discard()
	if err := c.Answer().Err; err != nil {
		return pgconn.CommandTag{}, err
	}
	return c.Answer().Result.Tag, nil
}

func nativeRowsOf(c *pgdriver.Call) (pgx.Rows, error) {
	if err := c.Answer().Err; err != nil {
		return nil, err
	}
	return c.PgxRows(), nil
}

// failedRows are the rows of a query that failed.
type failedRows struct{ err error }

var _ pgx.Rows = failedRows{}

func (failedRows) Close()                                       {}
func (r failedRows) Err() error                                 { return r.err }
func (failedRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (failedRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (failedRows) Next() bool                                   { return false }
func (r failedRows) Scan(...any) error                          { return r.err }
func (r failedRows) Values() ([]any, error)                     { return nil, r.err }
func (failedRows) RawValues() [][]byte                          { return nil }
func (failedRows) Conn() *pgx.Conn                              { return nil }
func (failedRows) TypeMap() *pgtype.Map                         { return nil }
