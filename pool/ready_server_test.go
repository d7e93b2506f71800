package pool

import (
	"testing"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestReadyTriesAnew removes the cause of a refusal that does not pass by itself:
// Ready does not repeat what was said before, however soon it is asked.
func TestReadyTriesAnew(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	p := open(t, settled(srv.DSN("postgres", "late", ""), 1, 0))
	for range 3 {
		if err := p.Ready(t.Context()); err == nil {
			t.Fatal("ready without a role")
		}
		srv.Exec(t, "create role late login")
		if err := p.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		srv.Exec(t, "alter role late nologin; select pg_terminate_backend(pid) from pg_stat_activity where usename = 'late'")
		for p.PingContext(t.Context()) == nil {
			continue // the session ends a moment later
		}
		srv.Exec(t, "drop role late")
	}
}
