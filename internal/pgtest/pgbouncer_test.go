package pgtest

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func simple(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn+"&default_query_exec_mode=simple_protocol")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// In transaction mode two clients share one server session; in session mode
// each has its own.
func TestPgBouncerModes(t *testing.T) {
	srv := Start(t, Options{Auth: AuthSCRAM})
	srv.Exec(t, "create role app login password 'app secret'")
	for mode, want := range map[string]bool{"transaction": true, "session": false} {
		b := StartPgBouncer(t, srv, PgBouncerOptions{Mode: mode, Settings: map[string]string{"default_pool_size": "2"}})
		dsn := b.DSN("postgres", "app", "app secret")
		var pids [2]int
		for i := range pids {
			if err := simple(t, dsn).QueryRow(t.Context(), "select pg_backend_pid()").Scan(&pids[i]); err != nil {
				t.Fatal(err)
			}
		}
		if got := pids[0] == pids[1]; got != want {
			t.Errorf("%s: shared %v, want %v", mode, got, want)
		}
		dir := b.dir
		b.Stop()
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("folder left: %v", err)
		}
	}
}

func TestPgBouncerRefusesStartupParameters(t *testing.T) {
	b := StartPgBouncer(t, Shared(t), PgBouncerOptions{})
	_, err := pgx.Connect(t.Context(), b.URL+"&statement_timeout=1000")
	if err == nil || !strings.Contains(err.Error(), "unsupported startup parameter") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(b.Log(), "unsupported startup parameter") {
		t.Errorf("log: %s", b.Log())
	}
}
