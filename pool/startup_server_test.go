package pool

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
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
	if err := p.Ready(context.Background()); !errors.As(err, &dial) || dial.SQLState != state || string(dial.Reason) != reason || dial.Remedy == "" {
		t.Errorf("Ready: %v", err)
	}
	if _, err := p.ExecContext(context.Background(), "select 1"); !errors.As(err, &dial) || dial.SQLState != state {
		t.Errorf("a caller: %v", err)
	}
	if took := time.Since(started); took > p.cfg.PoolTimeout/2 {
		t.Errorf("it took %s", took)
	}
}

// TestServersSettingsPass wants every setting that a session of the server may
// change to be allowed in a connection string.
func TestServersSettingsPass(t *testing.T) {
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		p := open(t, settled(srv.URL, 1, 0))
		rows, err := p.QueryContext(t.Context(), "select name, setting from pg_settings where context in ('user', 'superuser', 'backend', 'superuser-backend')")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		n := 0
		for ; rows.Next(); n++ {
			var name, setting string
			if err := rows.Scan(&name, &setting); err != nil {
				t.Fatal(err)
			}
			cfg := settled("postgres://h/d", 1, 0)
			cfg.DatabaseURL += config.DSN("?" + name + "=" + url.QueryEscape(setting))
			if err := cfg.Validate(); err != nil {
				t.Error(err)
			}
		}
		if err := rows.Err(); err != nil || n < 100 {
			t.Errorf("%d settings, %v", n, err)
		}
	})
}

// TestMeaninglessParameters are not sent to a server, which would refuse them,
// and are told of once.
func TestMeaninglessParameters(t *testing.T) {
	log := &logLines{}
	dsn := with(pgtest.Shared(t).URL, map[string]string{"keepalives": "1", "keepalives_count": "3", "gssencmode": "disable", "fallback_application_name": "x"})
	p := open(t, settled(dsn, 1, 0), WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !log.contains("mean nothing here and are ignored: ") || !log.contains("keepalives_count") {
		t.Error("the log does not say so")
	}
}

// TestNoHostName is a host that Validate was not asked about: what a service
// file names. The error does not quote it.
func TestNoHostName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "service.conf")
	if err := os.WriteFile(file, []byte("[orders]\nhost=ter2@db\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, settled("service=orders user=app dbname=d sslmode=disable servicefile="+file, 1, 0))
	wantDialError(t, p, "no host name")
	if err := p.PingContext(t.Context()); strings.Contains(err.Error(), "ter2") {
		t.Error(err)
	}
}
