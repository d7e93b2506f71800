package pool

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/jackc/pgx/v5/pgconn"
)

// shop is a pool on a real server with a table whose constraint is checked at
// commit: an item of an order that does not exist passes until then.
type shop struct {
	*Pool
	outside *sql.DB // another client of the same database
}

const (
	goodItem = "insert into items values (1)"
	badItem  = "insert into items values (2)"
)

func newShop(t *testing.T, settings ...func(*config.Config)) *shop {
	t.Helper()
	srv := pgtest.Shared(t)
	var dbs [2]*sql.DB
	for i := range dbs {
		db, err := sql.Open("pgx", srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		dbs[i] = db
	}
	_, err := dbs[0].ExecContext(t.Context(), `create table orders (id int primary key);
		insert into orders values (1);
		create table items (order_id int references orders deferrable initially deferred)`)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.DatabaseURL = config.DSN(srv.URL)
	for _, set := range settings {
		set(&cfg)
	}
	p, _ := poolOver(t, dbs[1], cfg)
	s := &shop{p, dbs[0]}
	t.Cleanup(func() { s.wantNoTransaction(t) })
	return s
}

// count asks outside the pool, as another client would.
func (s *shop) count(t *testing.T, query string) (n int) {
	t.Helper()
	if err := s.outside.QueryRowContext(context.Background(), query).Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

func (s *shop) wantItems(t *testing.T, want int) {
	t.Helper()
	if n := s.count(t, "select count(*) from items"); n != want {
		t.Errorf("%d items were written, want %d", n, want)
	}
}

// wantNoTransaction gives the server a moment: it learns of a connection that
// was cut off in the middle of a statement only when it looks.
func (s *shop) wantNoTransaction(t *testing.T) {
	t.Helper()
	open := 1
	for i := 0; open > 0 && i < 100; i++ {
		open = s.count(t, `select count(*) from pg_stat_activity, pg_sleep(0.05)
			where datname = current_database() and state like 'idle in transaction%'`)
	}
	if open > 0 {
		t.Errorf("%d transactions left open on the server", open)
	}
}

func run(query string) func(ctx context.Context, s *Session) error {
	return func(ctx context.Context, s *Session) error {
		_, err := s.ExecContext(ctx, query)
		return err
	}
}

func wantState(t *testing.T, err error, state string) {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != state {
		t.Errorf("%v, want SQLSTATE %s", err, state)
	}
}

func TestServerCommits(t *testing.T) {
	s := newShop(t)
	if err := s.WithSession(t.Context(), run(goodItem)); err != nil {
		t.Error(err)
	}
	s.wantItems(t, 1)
}

func TestServerRefusesTheCommit(t *testing.T) {
	s := newShop(t)
	err := s.WithSession(t.Context(), run(badItem))
	wantState(t, err, "23503")
	s.wantItems(t, 0)
}

// A statement that failed poisons the transaction: the server answers COMMIT
// with ROLLBACK, which must not pass for success.
func TestServerRollsBackInsteadOfCommitting(t *testing.T) {
	s := newShop(t)
	err := s.WithSession(t.Context(), func(ctx context.Context, sess *Session) error {
		err := run(goodItem)(ctx, sess)
		_, _ = sess.ExecContext(ctx, "select 1/0")
		return err
	})
	if !errors.Is(err, errCommit) {
		t.Errorf("reported done: %v", err)
	}
	s.wantItems(t, 0)
}

func TestServerKeepsTheOptions(t *testing.T) {
	s := newShop(t)
	wantState(t, s.WithSession(t.Context(), run(goodItem), WithReadOnly()), "25006")
	err := s.WithSession(t.Context(), func(ctx context.Context, sess *Session) error {
		var level, readOnly string
		err := sess.QueryRowContext(ctx, "select current_setting('transaction_isolation'), current_setting('transaction_read_only')").Scan(&level, &readOnly)
		if level != "serializable" || readOnly != "on" {
			t.Errorf("isolation %s, read only %s", level, readOnly)
		}
		return err
	}, WithReadOnly(), WithIsolation(sql.LevelSerializable))
	if err != nil {
		t.Error(err)
	}
	err = s.WithSession(t.Context(), func(ctx context.Context, sess *Session) error {
		return errors.Join(run("vacuum items")(ctx, sess), run(goodItem)(ctx, sess), errBoom)
	}, WithAutocommit())
	if err == nil || !errors.Is(err, errBoom) {
		t.Error(err)
	}
	s.wantItems(t, 1)
}

// Cancelled work is rolled back and its connection lives on.
func TestServerKeepsTheConnectionOfCancelledWork(t *testing.T) {
	s := newShop(t)
	pid := func(ctx context.Context, sess *Session) (pid int, err error) {
		err = sess.QueryRowContext(ctx, "select pg_backend_pid()").Scan(&pid)
		return pid, err
	}
	var pids [2]int
	for i := range pids {
		ctx, cancel := context.WithCancel(t.Context())
		err := s.WithSession(ctx, func(ctx context.Context, sess *Session) (err error) {
			if pids[i], err = pid(ctx, sess); err == nil {
				err = run(goodItem)(ctx, sess)
			}
			cancel()
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if pids[0] != pids[1] {
		t.Error("the connection of cancelled work was thrown away")
	}
	s.wantItems(t, 0)
}

func TestServerSeesOneConnectionPerSession(t *testing.T) {
	s := newShop(t)
	err := s.WithSession(t.Context(), func(ctx context.Context, outer *Session) error {
		if err := run(goodItem)(ctx, outer); err != nil {
			return err
		}
		return s.WithSession(ctx, func(ctx context.Context, inner *Session) error {
			var n int
			err := inner.QueryRowContext(ctx, "select count(*) from items").Scan(&n)
			if n != 0 {
				t.Error("the inner session sees what the outer has not committed")
			}
			return err
		})
	})
	if err != nil {
		t.Error(err)
	}
	s.wantItems(t, 1)
}

func TestServerTask(t *testing.T) {
	s := newShop(t)
	if err := s.Background(t.Context(), "restock", run(goodItem)).Wait(t.Context()); err != nil {
		t.Error(err)
	}
	wantState(t, s.Background(t.Context(), "restock", run(badItem)).Wait(t.Context()), "23503")
	s.wantItems(t, 1)
}
