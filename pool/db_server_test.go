package pool

import (
	"context"
	"database/sql"
	"sync"
	"testing"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// What a migration tool does: a session-level lock on a connection of its own,
// and transactions beside it.
func TestMigrationThroughDB(t *testing.T) {
	p := open(t, settled(pgtest.Shared(t).URL, 2, 0))
	ctx, db := t.Context(), p.DB()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	locked := func() (n int) {
		if err := db.QueryRowContext(ctx, "select count(*) from pg_locks where locktype = 'advisory' and objid = 42").Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	execute(t, conn, "select pg_advisory_lock(42)")
	execute(t, conn, "create table versions (id int primary key)")
	for version := range 3 {
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		execute(t, tx, "insert into versions values ($1)", version)
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	}
	if n := locked(); n != 1 {
		t.Errorf("%d locks", n)
	}
	execute(t, conn, "select pg_advisory_unlock(42)")
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	var n int
	if err := db.QueryRowContext(ctx, "select count(*) from versions").Scan(&n); err != nil || n != 3 || locked() != 0 {
		t.Error(n, err)
	}
	if err := db.Close(); err != nil { // as such tools do at the end
		t.Error(err)
	}
	if err := p.PingContext(ctx); err != nil {
		t.Error(err)
	}
}

// execute runs a statement or ends the test.
func execute(t *testing.T, db dbtx, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// A prepared statement is used by many at once, inside transactions too, and
// survives the connections it was prepared on.
func TestPreparedStatementsThroughThePool(t *testing.T) {
	srv := pgtest.Shared(t)
	p := open(t, settled(srv.URL, 3, 0))
	ctx := t.Context()
	for name, face := range map[string]interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
		BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
	}{"Pool": p, "DB": p.DB()} {
		t.Run(name, func(t *testing.T) {
			stmt, err := face.PrepareContext(ctx, "select $1::int + $2::int")
			if err != nil {
				t.Fatal(err)
			}
			defer stmt.Close()
			add := func(stmt *sql.Stmt, a, b int) {
				var sum int
				if err := stmt.QueryRowContext(ctx, a, b).Scan(&sum); err != nil || sum != a+b {
					t.Errorf("%d + %d = %d, %v", a, b, sum, err)
				}
			}
			var many sync.WaitGroup
			for i := range 20 {
				many.Go(func() {
					for j := range 20 {
						add(stmt, i, j)
					}
				})
			}
			many.Wait()
			tx, err := face.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			add(tx.StmtContext(ctx, stmt), 1, 2)
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
			srv.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ours' and pid <> pg_backend_pid()")
			add(stmt, 3, 4)
			if _, err := stmt.QueryContext(ctx, 1); err == nil {
				t.Error("one argument for two parameters")
			}
			if _, err := face.PrepareContext(ctx, "selec 1"); err == nil {
				t.Error("a mistake was prepared")
			}
			// Checked once per connection and kept there: not on the server's hands for each.
			var n int
			if err := p.QueryRowContext(ctx, "select count(*) from pg_prepared_statements").Scan(&n); err != nil || n > 5 {
				t.Errorf("%d statements on one connection, %v", n, err)
			}
		})
	}
}

// The limit moves both ways under load: nothing fails, nothing is lost, and the
// server never sees more sessions than the larger limit.
func TestResizeUnderLoad(t *testing.T) {
	srv := pgtest.Shared(t)
	p := open(t, settled(srv.URL, 2, 2))
	ctx, stop := context.WithCancel(t.Context())
	var done int
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range 20 {
		workers.Go(func() {
			for ctx.Err() == nil {
				if err := p.QueryRowContext(t.Context(), "select pg_sleep(0.001)").Scan(new(any)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				done++
				mu.Unlock()
			}
		})
	}
	for i := range 60 {
		size := 1 + i%8
		if err := p.Resize(size, i%3); err != nil {
			t.Error(err)
		}
		for before := p.Stats().AcquireCount; p.Stats().AcquireCount < before+20; {
			if s := p.Stats(); s.Open()+s.Dialing+s.Closing > 10 {
				t.Errorf("%d sessions", s.Open()+s.Dialing+s.Closing)
			}
		}
		wantConsistent(t, p.Stats())
	}
	stop()
	workers.Wait()
	if s := p.Stats(); s.InUse+s.Waiting != 0 || int(s.AcquireCount) != done {
		t.Errorf("%d of %d acquisitions were answered; in use %d, waiting %d", done, s.AcquireCount, s.InUse, s.Waiting)
	}
}
