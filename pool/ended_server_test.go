package pool

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestEndedTellsTheCause has a real server end sessions, in use and idle, and
// looks at what they are counted for.
func TestEndedTellsTheCause(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, pgtest.Options{})
	settings := func(with string) func(*config.Config) {
		return func(c *config.Config) {
			c.DatabaseURL += config.DSN("&options=" + strings.ReplaceAll(with, "=", "%3D"))
		}
	}
	const others = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ours'"
	leftOpen := func(t *testing.T, p *Pool) {
		tx, err := p.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		if _, err := tx.ExecContext(t.Context(), "select 1"); err == nil {
			t.Error("the transaction outlived idle_in_transaction_session_timeout")
		}
		_ = tx.Rollback()
	}
	for _, tc := range []struct {
		name, cause string
		edit        func(*config.Config)
		happen      func(t *testing.T, p *Pool)
	}{
		{"terminated while idle", "terminated", nil, func(t *testing.T, _ *Pool) { srv.Exec(t, others) }},
		{"terminated while a statement runs", "terminated", nil, func(t *testing.T, p *Pool) {
			var statement sync.WaitGroup
			statement.Go(func() {
				if _, err := p.ExecContext(t.Context(), "select pg_sleep(20)"); err == nil {
					t.Error("no error")
				}
			})
			time.Sleep(200 * time.Millisecond)
			srv.Exec(t, others)
			statement.Wait()
		}},
		{"idle_session_timeout", "idle session", settings("-cidle_session_timeout=100"), func(*testing.T, *Pool) {}},
		{"idle_in_transaction_session_timeout", "idle in transaction", settings("-cidle_in_transaction_session_timeout=100"), leftOpen},
		// The last one: it ends every session of the server.
		{"a crash of another process", "crashed", nil, func(t *testing.T, p *Pool) {
			_, _ = p.ExecContext(t.Context(), "copy (select 1) to program 'kill -9 $PPID'")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := settled(srv.URL, 3, 0)
			cfg.Fleet = config.FleetOff
			if tc.edit != nil {
				tc.edit(&cfg)
			}
			p := open(t, cfg)
			fill(t, p, 3)
			tc.happen(t, p)
			until(t, 10*time.Second, "a connection was ended: "+tc.cause, func() bool { return maps.Collect(p.Stats().Ended.All())[tc.cause] > 0 })
			sum := uint64(0)
			for _, n := range p.Stats().Ended.All() {
				sum += n
			}
			if s := p.Stats(); sum > s.Closed.Broken {
				t.Errorf("%+v are more than %d", s.Ended, s.Closed.Broken)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := p.Ready(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
