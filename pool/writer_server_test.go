package pool

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestWriterTurnsReadOnly has a server take no more writes and keep its
// sessions, and take them again: each time all connections are chosen anew, and
// no more callers notice than were being served.
func TestWriterTurnsReadOnly(t *testing.T) {
	t.Parallel()
	for _, attrs := range []string{"read-write", "any"} {
		t.Run(attrs, func(t *testing.T) {
			srv := pgtest.Start(t, pgtest.Options{})
			srv.Exec(t, "create table orders (id int)")
			cfg := settled(with(srv.URL, map[string]string{"target_session_attrs": attrs}), 3, 0)
			cfg.Fleet, cfg.PoolTimeout = config.FleetOff, time.Second
			p := open(t, cfg)
			write := func() error { _, err := p.ExecContext(t.Context(), "insert into orders values ($1)", 1); return err }
			for _, c := range holdAll(t, p, 3) { // all of them open, and idle afterwards
				c.Close()
			}
			srv.Exec(t, "alter system set default_transaction_read_only = on")
			srv.Exec(t, "select pg_reload_conf()")
			time.Sleep(300 * time.Millisecond)
			refused := 0
			for range 4 {
				if pgdriver.SQLState(write()) == pgdriver.StateReadOnly {
					refused++
				}
			}
			srv.Exec(t, "set default_transaction_read_only = off")
			srv.Exec(t, "alter system reset default_transaction_read_only")
			srv.Exec(t, "select pg_reload_conf()")
			if want := map[string]int{"read-write": 1, "any": 4}[attrs]; refused != want {
				t.Errorf("%d writes refused, want %d", refused, want)
			}
			until(t, 20*time.Second, "no writes again", func() bool { return write() == nil })
		})
	}
}

// TestOwnReadOnlyTransaction writes where the caller itself forbade it: the
// server is the right one, and its connections stay.
func TestOwnReadOnlyTransaction(t *testing.T) {
	p := openShared(t, 2, 0, func(c *config.Config) { c.DatabaseURL += "&target_session_attrs=read-write" })
	defer p.Close()
	if _, err := p.ExecContext(t.Context(), "create table orders (id int)"); err != nil {
		t.Fatal(err)
	}
	insert := func(q interface {
		ExecContext(context.Context, string, ...any) (sql.Result, error)
	}) {
		if _, err := q.ExecContext(t.Context(), "insert into orders values ($1)", 1); pgdriver.SQLState(err) != pgdriver.StateReadOnly {
			t.Errorf("got %v", err)
		}
	}
	tx, err := p.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	insert(tx)
	_ = tx.Rollback()
	_ = p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		if _, err := s.ExecContext(ctx, "set transaction read only"); err != nil {
			t.Error(err)
		}
		insert(s)
		return sql.ErrNoRows
	})
	if st := p.Stats(); st.OpenedCount != 1 || st.Closed.Total() != 0 {
		t.Errorf("opened %d, closed %+v", st.OpenedCount, st.Closed)
	}
}
