package pool

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// swallowing is a pooler that takes the parameters and drops them without a word.
var swallowing = map[string]string{"ignore_startup_parameters": "statement_timeout,lock_timeout,idle_in_transaction_session_timeout,search_path,options"}

// TestPoolerNeverDropsASearchPath wants a connection string's search_path to be
// in force or to be refused: what is written to another schema is lost to the
// tenant. That holds for a pooler that refuses it, for one that swallows it, and
// for one that was ruled out.
func TestPoolerNeverDropsASearchPath(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]map[string]string{"refusing": nil, "swallowing": swallowing} {
		srv := pgtest.Start(t, pgtest.Options{})
		srv.Exec(t, "create schema tenant")
		b := pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{Settings: settings})
		for _, pooler := range []config.Pooler{config.PoolerAuto, config.PoolerPgBouncer, config.PoolerNone} {
			for _, parameter := range []map[string]string{{"search_path": "tenant,public"}, {"options": "--search_path=tenant,public"}} {
				t.Run(name+"/"+string(pooler), func(t *testing.T) {
					cfg := settled(with(b.URL, parameter), 2, 0)
					cfg.Pooler = pooler
					refused := open(t, cfg)
					wantDialError(t, refused, "refused by the pooler")
					if err := refused.Ready(context.Background()); err == nil || !strings.Contains(err.Error(), "search_path") && !strings.Contains(err.Error(), "startup parameter") {
						t.Errorf("not named: %v", err)
					}
					if name == "refusing" && pooler == config.PoolerNone {
						return // it is refused whatever the role has
					}
					setForRole(t, srv, "set search_path = tenant, public")
					wantTenant(t, open(t, cfg))
					setForRole(t, srv, "reset search_path")
				})
			}
		}
	}
}

// setForRole changes the role, and ends PgBouncer's sessions, which have the former value.
func setForRole(t *testing.T, srv *pgtest.Server, what string) {
	t.Helper()
	srv.Exec(t, "alter role postgres "+what)
	srv.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()")
}

func wantTenant(t *testing.T, p *Pool) {
	t.Helper()
	until(t, 5e9, "the pool is ready", func() bool { return p.Ready(t.Context()) == nil })
	var schema string
	if err := p.QueryRowContext(t.Context(), "select current_schema()").Scan(&schema); err != nil || schema != "tenant" {
		t.Errorf("%q, %v", schema, err)
	}
}

// TestPoolerTimeoutsPerTransaction sets with each BEGIN what the pooler keeps
// from the server, and leaves no trace of it.
func TestPoolerTimeoutsPerTransaction(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]map[string]string{"refusing": nil, "swallowing": swallowing} {
		t.Run(name, func(t *testing.T) {
			pooled(t, settings, func(t *testing.T, _ *pgtest.Server, b *pgtest.PgBouncer) {
				log := &logLines{}
				dsn := with(b.URL, map[string]string{"lock_timeout": "1234", "options": "--idle_in_transaction_session_timeout=45s"})
				p := open(t, settled(dsn, 2, 0), WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
				const query = "select current_setting('lock_timeout') || ' ' || current_setting('idle_in_transaction_session_timeout') || ' ' || current_setting('statement_timeout')"
				var within, after string
				err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
					return s.QueryRowContext(ctx, query).Scan(&within)
				})
				if err != nil || within != "1234ms 45s 30s" {
					t.Errorf("in a session: %q, %v", within, err)
				}
				if err := p.QueryRowContext(t.Context(), query).Scan(&after); err != nil || after != "0 0 0" {
					t.Errorf("after it: %q, %v", after, err)
				}
				if !log.contains("lock_timeout is in force in transactions only") {
					t.Error("the log does not say so")
				}
			})
		})
	}
}
