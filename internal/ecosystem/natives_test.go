package ecosystem

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/dbpool-go/dbpool/internal/ecosystem/sqlcdb"
	"github.com/dbpool-go/dbpool/internal/ecosystem/sqlcpgx"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/georgysavva/scany/v2/pgxscan"
	"github.com/jackc/pgx/v5"
)

// Libraries made for pgx take p.Pgx(), or pgx's connection in a session.

func openSQLCPgx(_ *testing.T, p *pool.Pool) client {
	q := sqlcpgx.New(p.Pgx())
	return client{
		scalar: func(ctx context.Context, query string) (n int, err error) {
			if query == sessions {
				m, err := q.CountSessions(ctx)
				return int(m), err
			}
			return n, p.Pgx().QueryRow(ctx, query).Scan(&n)
		},
		insert: func(ctx context.Context, caller int) error { return q.AddTurn(ctx, int32(caller)) },
		rollback: func(ctx context.Context) error {
			tx, err := p.Pgx().Begin(ctx)
			if err != nil {
				return err
			}
			return errors.Join(q.WithTx(tx).AddTurn(ctx, -1), tx.Rollback(ctx))
		},
	}
}

func openPgxscan(_ *testing.T, p *pool.Pool) client {
	const insert = "insert into turns (caller) values ($1) returning id"
	db := p.Pgx()
	return client{
		scalar: func(ctx context.Context, query string) (n int, err error) {
			return n, pgxscan.Get(ctx, db, &n, query)
		},
		insert: func(ctx context.Context, caller int) error {
			var id int64
			return pgxscan.Get(ctx, db, &id, insert, caller)
		},
		rollback: func(ctx context.Context) error {
			tx, err := db.Begin(ctx)
			if err != nil {
				return err
			}
			var id int64
			return errors.Join(pgxscan.Get(ctx, tx, &id, insert, -1), tx.Rollback(ctx))
		},
	}
}

// What sqlc generates for pgx beyond single statements, COPY and batches, works
// through the pool and inside a session, where it is part of the transaction.
func TestGeneratedCopyAndBatches(t *testing.T) {
	p := open(t, 1, 0)
	execute(t, p, schema)
	if err := copyAndBatch(t.Context(), sqlcpgx.New(p.Pgx())); err != nil {
		t.Error(err)
	}
	err := p.WithSession(t.Context(), func(ctx context.Context, s *pool.Session) error {
		return s.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
			return errors.Join(copyAndBatch(ctx, sqlcpgx.New(c)), errUndo)
		})
	})
	if undone(err) != nil {
		t.Error(err)
	}
	if n := count(t, p, "select count(*) from turns"); n != 5 {
		t.Errorf("%d rows, want the 5 that were committed", n)
	}
	turns, err := sqlcdb.New(p).Turns(t.Context(), []int32{2, 4})
	if err != nil || len(turns) != 2 || turns[0].Caller != 2 || turns[1].Caller != 4 {
		t.Errorf("%+v, %v", turns, err)
	}
}

// copyAndBatch writes five turns and reads two of them.
func copyAndBatch(ctx context.Context, q *sqlcpgx.Queries) error {
	copied, err := q.CopyTurns(ctx, []int32{1, 2, 3})
	if err == nil && copied != 3 {
		err = errors.New("not all were copied")
	}
	added := q.AddTurns(ctx, []int32{4, 5})
	added.Exec(func(_ int, failed error) { err = errors.Join(err, failed) })
	var found []int32
	q.FindTurns(ctx, []int32{1, 5}).Query(func(_ int, turns []sqlcpgx.Turn, failed error) {
		err = errors.Join(err, failed)
		for _, turn := range turns {
			found = append(found, turn.Caller)
		}
	})
	if !slices.Equal(found, []int32{1, 5}) {
		err = errors.Join(err, errors.New("not what was written"))
	}
	return err
}

// A struct of pgxscan's, with an array of pgx's own types, from the pool and from
// inside a session.
func TestPgxscanReadsStructs(t *testing.T) {
	p := open(t, 1, 0)
	type row struct {
		Name    string
		Callers []int32
	}
	const query = "select 'both' as name, array[1, 2] as callers"
	var got []row
	err := pgxscan.Select(t.Context(), p.Pgx(), &got, query)
	if err != nil || len(got) != 1 || !slices.Equal(got[0].Callers, []int32{1, 2}) {
		t.Errorf("%+v, %v", got, err)
	}
	err = p.WithSession(t.Context(), func(ctx context.Context, s *pool.Session) error {
		return s.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
			var one row
			err := pgxscan.Get(ctx, c, &one, query)
			if err == nil && one.Name != "both" {
				t.Errorf("%+v", one)
			}
			return err
		})
	})
	if err != nil {
		t.Error(err)
	}
}
