package pgtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ownName is the application_name of this package's own sessions.
const ownName = "pgtest"

// withAdmin lends the superuser's session that is kept open for questions: a
// server full of others still has it, and asking costs no connection.
func (c *cluster) withAdmin(ctx context.Context, ask func(*pgx.Conn) error) error {
	c.adminMu.Lock()
	defer c.adminMu.Unlock()
	if c.admin == nil || c.admin.IsClosed() {
		conn, err := c.connect(ctx)
		if err != nil {
			return err
		}
		c.admin = conn
	}
	return ask(c.admin)
}

// dropAdmin closes that session.
func (c *cluster) dropAdmin() {
	c.adminMu.Lock()
	defer c.adminMu.Unlock()
	if c.admin == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.admin.Close(ctx) // the server may be gone, and that is fine
	c.admin = nil
}

// Exec runs statements as Superuser in the database postgres, on a session
// kept open since its first use, and fails the test on an error. Without
// arguments the text may hold several statements.
func (s *Server) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	err := s.withAdmin(t.Context(), func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), sql, args...)
		return err
	})
	if err != nil {
		t.Fatalf("pgtest: %s: %v", sql, err)
	}
}

// QueryInt asks for one number as Superuser, on the session kept open.
func (s *Server) QueryInt(ctx context.Context, sql string, args ...any) (int, error) {
	var n int
	err := s.withAdmin(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, sql, args...).Scan(&n)
	})
	return n, err
}

// Sessions counts the server's sessions of an application_name, in any state,
// or -1 when the server does not answer. An empty name counts all clients'
// sessions but this package's own.
func (s *Server) Sessions(ctx context.Context, application string) int {
	n, err := s.QueryInt(ctx, `select count(*) from pg_stat_activity
		where backend_type = 'client backend' and application_name <> '`+ownName+`' and ($1 = '' or application_name = $1)`, application)
	if err != nil {
		return -1
	}
	return n
}

// fillerRole is an ordinary role, so that it cannot take the superuser's slots.
const fillerRole = "pgtest_filler"

// FillSlots takes n of the server's connection slots as an ordinary role, or
// with n <= 0 all that it gives, and reports how many it took. They are
// given back by the returned function, or at the end of the test.
func (s *Server) FillSlots(t testing.TB, n int) (taken int, free func()) {
	t.Helper()
	s.Exec(t, `do $$ begin create role `+fillerRole+` login password 'filler'; exception when duplicate_object then null; end $$`)
	var held []*pgx.Conn
	free = func() {
		for _, conn := range held {
			_ = conn.Close(context.Background()) // the server may be gone
		}
		held = nil
	}
	t.Cleanup(free)
	for n <= 0 || len(held) < n {
		conn, err := pgx.Connect(t.Context(), s.DSN("postgres", fillerRole, "filler")+"&application_name="+fillerRole)
		if n <= 0 && isFull(err) {
			break
		}
		if err != nil {
			t.Fatalf("pgtest: slot %d of %d: %v", len(held)+1, n, err)
		}
		held = append(held, conn)
	}
	return len(held), free
}

func isFull(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "53300"
}

// newDatabase makes one, and drops it with whoever is still connected.
func (s *Server) newDatabase(t testing.TB, name string) {
	t.Helper()
	s.Exec(t, "create database "+pgx.Identifier{name}.Sanitize())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		err := s.withAdmin(ctx, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, fmt.Sprintf("drop database if exists %s with (force)", pgx.Identifier{name}.Sanitize()))
			return err
		})
		if err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
}
