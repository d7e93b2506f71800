package pool

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// ordersOf returns what is committed.
func ordersOf(t *testing.T, p *Pool) (list []int) {
	t.Helper()
	rows, err := p.QueryContext(t.Context(), "select n from orders order by n")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

func withOrders(t *testing.T, opts ...Option) *Pool {
	t.Helper()
	p := openShared(t, 2, 0, nil, opts...)
	t.Cleanup(func() { _ = p.Close() })
	if _, err := p.ExecContext(t.Context(), "drop table if exists orders; create table orders (n int unique deferrable initially deferred)"); err != nil {
		t.Fatal(err)
	}
	return p
}

func add(ctx context.Context, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, n int) error {
	_, err := db.ExecContext(ctx, "insert into orders values ($1)", n)
	return err
}

// A library that is given the session's DB works inside its transaction, and its
// own transactions are savepoints of it.
func TestSessionDB(t *testing.T) {
	p := withOrders(t)
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		db := s.DB()
		if n := p.Stats().InUse; n != 0 {
			t.Errorf("%d in use before the first statement", n)
		}
		kept, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		inner, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		if err := add(ctx, inner, 9); pgdriver.SQLState(err) != "25006" {
			t.Errorf("wrote in a read-only savepoint: %v", err)
		}
		if err := errors.Join(inner.Rollback(), add(ctx, kept, 1), add(ctx, s, 2), add(ctx, db, 3), kept.Commit()); err != nil {
			return err
		}
		lost, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := errors.Join(add(ctx, lost, 4), lost.Rollback()); err != nil {
			return err
		}
		failed, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := failed.ExecContext(ctx, "select 1/0"); err == nil {
			t.Error("divided by zero")
		}
		if err := failed.Commit(); err == nil {
			t.Error("a savepoint was released in which a statement had failed")
		}
		if n := p.Stats().InUse; n != 1 {
			t.Errorf("%d connections for one session", n)
		}
		var seen int
		if err := db.QueryRowContext(ctx, "select count(*) from orders").Scan(&seen); err != nil || seen != 3 {
			t.Errorf("sees %d, %v", seen, err)
		}
		if _, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable}); err == nil {
			t.Error("a savepoint has an isolation level of its own")
		}
		return nil
	})
	if got := ordersOf(t, p); err != nil || !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("%v, %v", got, err)
	}
}

// What a library committed is undone with the session, and a session that is over
// gives it nothing more.
func TestSessionDBEndsWithTheSession(t *testing.T) {
	p := withOrders(t)
	var db *sql.DB
	var tx *sql.Tx
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) (err error) {
		db = s.DB()
		if tx, err = db.BeginTx(ctx, nil); err == nil {
			err = errors.Join(add(ctx, tx, 1), tx.Commit())
		}
		tx, _ = db.BeginTx(context.Background(), nil)
		_ = db.Close() // as some libraries do
		if err := add(ctx, s.DB(), 2); err != nil {
			t.Error(err)
		}
		return errors.Join(err, errBoom)
	})
	if got := ordersOf(t, p); !errors.Is(err, errBoom) || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if err := add(t.Context(), tx, 3); !errors.Is(err, ErrSessionDone) {
		t.Error(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	if err := add(t.Context(), db, 4); err == nil {
		t.Error("a statement after the session's end")
	}
	if (*Session)(nil).DB() != nil {
		t.Error("a nil session has a DB")
	}
}

func TestSessionDBWithoutTransaction(t *testing.T) {
	p := withOrders(t)
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		tx, err := s.DB().BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := errors.Join(add(ctx, tx, 1), tx.Commit()); err != nil {
			return err
		}
		if got := ordersOf(t, p); !slices.Equal(got, []int{1}) {
			t.Errorf("not committed: %v", got)
		}
		tx, err = s.DB().BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
		if err != nil {
			return err
		}
		return errors.Join(add(ctx, tx, 2), tx.Rollback())
	}, WithAutocommit())
	if got := ordersOf(t, p); err != nil || !slices.Equal(got, []int{1}) {
		t.Errorf("%v, %v", got, err)
	}
}

// Rows that a library left open count as the session's.
func TestSessionDBRowsAreTheSessions(t *testing.T) {
	p := withOrders(t)
	var rows *sql.Rows
	rec := serve(t, p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rows, _ = firstOf(FromContext(r.Context()).DB().QueryContext(r.Context(), "select generate_series(1, 3)"))
		w.WriteHeader(200)
	})), "GET", "/")
	if rec.Code != 500 {
		t.Errorf("status %d for rows that were cut", rec.Code)
	}
	_ = rows.Close()
}
