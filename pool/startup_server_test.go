package pool

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestStartupRefused wants whatever the server does not like about the startup
// packet to be told at once: it is the same the next time. Ready would wait for
// ever, and callers as long as they can.
func TestStartupRefused(t *testing.T) {
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		srv.Exec(t, "create role plain login")
		srv.Exec(t, "create database shut")
		srv.Exec(t, "alter database shut allow_connections false")
		for _, c := range []struct {
			parameters    map[string]string
			state, reason string
		}{
			{map[string]string{"options": "--no_such_setting=1"}, "42704", "parameter refused"},
			{map[string]string{"options": "nonsense"}, "42601", "parameter refused"},
			{map[string]string{"work_mem": "much"}, "22023", "parameter refused"},
			{map[string]string{"timezone": "Nowhere/AtAll"}, "22023", "parameter refused"},
			{map[string]string{"options": "--max_connections=5"}, "55P02", "parameter refused"},
			{map[string]string{"log_statement": "all", "user": "plain"}, "42501", "parameter refused"},
			{map[string]string{"dbname": "shut"}, "55000", "database closed"},
			{map[string]string{"user": "nobody_here"}, "28000", "authentication"},
		} {
			t.Run(c.state, func(t *testing.T) { wantRefusedAtOnce(t, with(srv.URL, c.parameters), c.state, c.reason) })
		}
	})
}

func wantRefusedAtOnce(t *testing.T, dsn, state, reason string) {
	t.Helper()
	p := open(t, settled(dsn, 1, 0))
	started := time.Now()
	var dial *DialError
	if err := p.Ready(context.Background()); !errors.As(err, &dial) || dial.SQLState != state || dial.Reason != reason || dial.Remedy == "" {
		t.Errorf("Ready: %v", err)
	}
	if _, err := p.ExecContext(context.Background(), "select 1"); !errors.As(err, &dial) || dial.SQLState != state {
		t.Errorf("a caller: %v", err)
	}
	if took := time.Since(started); took > p.cfg.PoolTimeout/2 {
		t.Errorf("it took %s", took)
	}
}
