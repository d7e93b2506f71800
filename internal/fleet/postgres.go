package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Postgres runs requests on conn, which must be outside of a transaction.
func Postgres(conn *pgconn.PgConn, keys Keys) Locks { return postgres{conn, keys} }

type postgres struct {
	conn *pgconn.PgConn
	keys Keys
}

// SQLSTATEs of errors after which a session goes on.
const (
	stateCanceled    = "57014" // by somebody, or by statement_timeout
	stateOutOfMemory = "53200" // the server's lock table is full
	stateNoStatement = "26000" // there is no such prepared statement
)

// Do sends all statements at once by the simple protocol: one round trip, and
// each is run when the one before is done. Every argument is an integer.
func (p postgres) Do(ctx context.Context, r Request) (Response, error) {
	results, err := p.run(ctx, r)
	if err != nil {
		return Response{}, fmt.Errorf("fleet: advisory locks: %w", err)
	}
	resp, err := readResponse(r, results)
	if err != nil {
		return Response{}, fmt.Errorf("fleet: advisory locks: %w", err)
	}
	return resp, nil
}

// maxTries is how often a request is sent that the server did not even begin.
const maxTries = 100

// run sends a request, again and again if need be. One that was canceled
// although ctx has not ended met the session's statement_timeout before
// untimedSQL could stop it; nothing has been done then, since the server looks
// for that before each statement.
func (p postgres) run(ctx context.Context, r Request) (results []*pgconn.Result, err error) {
	for range maxTries {
		prepared := p.conn.CustomData()
		results, err = p.conn.Exec(ctx, p.sql(r, prepared[glanceName] != nil)).ReadAll()
		if err == nil && r.Glance {
			prepared[glanceName] = true
		}
		pg := (*pgconn.PgError)(nil)
		switch {
		case err == nil, ctx.Err() != nil, !errors.As(err, &pg):
			return results, err
		case pg.Code == stateNoStatement: // the application ran DEALLOCATE ALL
			delete(prepared, glanceName)
		case pg.Code == stateOutOfMemory:
			return nil, errors.Join(err, errKept)
		case pg.Code != stateCanceled:
			return nil, err
		}
	}
	return results, err
}

// PID is the server process as the connection's start told it.
func (p postgres) PID() uint32 { return p.conn.PID() }
