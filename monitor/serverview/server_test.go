package serverview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// versions are the servers that every statement must work on.
var versions = []int{15, 18}

func onEachServer(t *testing.T, settings map[string]string, test func(t *testing.T, srv *pgtest.Server)) {
	for _, version := range versions {
		t.Run(fmt.Sprint("PostgreSQL ", version), func(t *testing.T) {
			mine := map[string]string{}
			for k, v := range settings {
				if k != "reserved_connections" || version >= 16 {
					mine[k] = v
				}
			}
			test(t, pgtest.Start(t, pgtest.Options{Version: version, Settings: mine}))
		})
	}
}

// session opens one session and returns it as a Querier, and how to end it.
func session(t *testing.T, dsn string) (*sql.Conn, func()) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, func() { _ = c.Close(); _ = db.Close() }
}

// openAll opens sessions until the server refuses one for lack of room, and
// returns how many it granted.
func openAll(t *testing.T, dsn string) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var open []*pgx.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close(ctx)
		}
	}()
	for {
		c, err := pgx.Connect(ctx, dsn)
		var full *pgconn.PgError
		if errors.As(err, &full) && full.Code == "53300" {
			return len(open)
		}
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
}

// TestFreeIsWhatTheServerGrants has the server for a judge: exactly Free more
// sessions can be opened.
func TestFreeIsWhatTheServerGrants(t *testing.T) {
	onEachServer(t, map[string]string{"max_connections": "15", "superuser_reserved_connections": "2", "reserved_connections": "3"}, func(t *testing.T, srv *pgtest.Server) {
		srv.Exec(t, `CREATE ROLE plain LOGIN; CREATE ROLE few LOGIN CONNECTION LIMIT 4; CREATE ROLE boss LOGIN SUPERUSER CONNECTION LIMIT 1; CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats`)
		srv.Exec(t, `CREATE DATABASE small CONNECTION LIMIT 3`)
		if srv.Version >= 16 {
			srv.Exec(t, `CREATE ROLE favoured LOGIN IN ROLE pg_use_reserved_connections`)
		}
		reserved := 0
		if srv.Version >= 16 {
			reserved = 3
		}
		for _, tc := range []struct {
			role, database string
			by             Bound
			usable         int
		}{
			{"plain", "postgres", BoundServer, 13 - reserved}, {"reader", "postgres", BoundServer, 13 - reserved}, {"few", "postgres", BoundRole, 4},
			{"plain", "small", BoundDatabase, 3}, {"boss", "small", BoundServer, 15}, {"favoured", "postgres", BoundServer, 13},
		} {
			if tc.role == "favoured" && srv.Version < 16 {
				continue
			}
			t.Run(tc.role+" in "+tc.database, func(t *testing.T) {
				dsn := srv.DSN(tc.database, tc.role, "")
				waitUntilAlone(t, srv)
				mine, end := session(t, dsn)
				defer end()
				v, err := Read(t.Context(), mine)
				if err != nil {
					t.Fatal(err)
				}
				if v.Usable != tc.usable || v.BoundBy != tc.by || v.Role != tc.role || v.Database != tc.database {
					t.Errorf("usable %d, bound by %s, as %s in %s; want %d, %s", v.Usable, v.BoundBy, v.Role, v.Database, tc.usable, tc.by)
				}
				if granted := openAll(t, dsn); granted != v.Free {
					t.Errorf("the server granted %d more sessions, Free said %d: %+v", granted, v.Free, v)
				}
			})
		}
	})
}

func TestReadSeesSessionsByApplicationAndState(t *testing.T) {
	onEachServer(t, nil, func(t *testing.T, srv *pgtest.Server) {
		srv.Exec(t, `CREATE ROLE plain LOGIN; CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats`)
		other, end := session(t, srv.URL+"&application_name=other's%20%3Cb%3E")
		defer end()
		tx, err := other.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(t.Context(), "SELECT 1"); err != nil {
			t.Fatal(err)
		}
		for role, want := range map[string]Application{"plain": {Sessions: 1, Hidden: 1}, "reader": {Sessions: 1, IdleInTransaction: 1}} {
			// A name for each: the session before may not have ended yet.
			mine, end := session(t, srv.DSN("postgres", role, "")+"&application_name="+role+"&statement_timeout=2500")
			v, err := Read(t.Context(), mine)
			end()
			if err != nil {
				t.Fatal(err)
			}
			want.Name = "other's <b>"
			if got := find(v, want.Name); got != want {
				t.Errorf("%s sees %+v, want %+v; all: %+v", role, got, want, v.Applications)
			}
			if got := find(v, role); got.Active != 1 || got.Sessions != 1 {
				t.Errorf("%s sees itself as %+v", role, got)
			}
			if v.SeesAll != (role == "reader") || v.RoleSessions != 1 || v.StatementTimeoutSeconds != 2.5 || v.InRecovery || v.VersionNum/10000 != srv.Version {
				t.Errorf("%s: %+v", role, v)
			}
			total := 0
			for _, s := range v.States {
				total += s.Count
			}
			if total != v.Sessions || v.Sessions < 2 {
				t.Errorf("states make %d, sessions are %d", total, v.Sessions)
			}
		}
	})
}

// waitUntilAlone waits for sessions that were closed to have ended on the server.
func waitUntilAlone(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	for srv.Sessions(t.Context(), "") != 0 {
		if t.Context().Err() != nil {
			t.Fatal("sessions stay")
		}
	}
}

func find(v View, name string) Application {
	for _, a := range v.Applications {
		if a.Name == name {
			return a
		}
	}
	return Application{}
}

func TestLongestQueriesTellWhoBlocksWhom(t *testing.T) {
	onEachServer(t, nil, func(t *testing.T, srv *pgtest.Server) {
		srv.Exec(t, `CREATE TABLE t (a int); INSERT INTO t VALUES (1)`)
		holder, end := session(t, srv.URL+"&application_name=holder")
		defer end()
		tx, err := holder.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		var pid uint32
		if err := tx.QueryRowContext(t.Context(), "UPDATE t SET a = 4711 RETURNING pg_backend_pid()").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		blocked, endBlocked := session(t, srv.URL+"&application_name=blocked")
		defer endBlocked()
		done := make(chan error, 1)
		go func() {
			_, err := blocked.ExecContext(ctx, "UPDATE t SET a = 4712 /* secret */")
			done <- err
		}()
		defer func() { cancel(); <-done }()
		mine, endMine := session(t, srv.URL)
		defer endMine()
		waitUntilBlocked(t, mine)

		all := longest(t, mine, QueryOptions{})
		q := all["blocked"]
		if q.State != "active" || len(q.BlockedBy) != 1 || q.BlockedBy[0] != pid || q.Text != "" || q.ClientAddress != "" || q.QuerySeconds <= 0 {
			t.Errorf("blocked: %+v, want it blocked by %d and nothing told", q, pid)
		}
		if h := all["holder"]; h.State != "idle in transaction" || h.PID != pid || h.TransactionSeconds < h.QuerySeconds {
			t.Errorf("holder: %+v", h)
		}
		if q := longest(t, mine, QueryOptions{Text: true, Addresses: true})["blocked"]; q.Text != "UPDATE t SET a = ?" || q.ClientAddress != "127.0.0.1" {
			t.Errorf("with text and addresses: %+v", q)
		}
		if one := longest(t, mine, QueryOptions{Limit: 1}); len(one) != 1 {
			t.Errorf("%d statements, want 1", len(one))
		}
	})
}

func waitUntilBlocked(t *testing.T, c *sql.Conn) {
	t.Helper()
	for {
		var n int
		if err := c.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
}

func longest(t *testing.T, c *sql.Conn, opts QueryOptions) map[string]Query {
	t.Helper()
	all, err := LongestQueries(t.Context(), c, opts)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Query{}
	for _, q := range all {
		out[q.ApplicationName] = q
	}
	return out
}

func TestReadOnAStandby(t *testing.T) {
	onEachServer(t, nil, func(t *testing.T, srv *pgtest.Server) {
		c, end := session(t, srv.URL)
		var data string
		err := c.QueryRowContext(t.Context(), "SHOW data_directory").Scan(&data)
		end()
		if err != nil {
			t.Fatal(err)
		}
		srv.Exec(t, `CREATE ROLE plain LOGIN`)
		srv.Halt(t)
		if err := os.WriteFile(filepath.Join(data, "standby.signal"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		srv.Restart(t)
		mine, end := session(t, srv.DSN("postgres", "plain", ""))
		defer end()
		v, err := Read(t.Context(), mine)
		if err != nil || !v.InRecovery || v.Sessions < 1 {
			t.Errorf("%+v, %v", v, err)
		}
		if _, err := LongestQueries(t.Context(), mine, QueryOptions{Text: true}); err != nil {
			t.Error(err)
		}
	})
}

func TestReadThroughPgBouncer(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	pooler := pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{})
	db, err := sql.Open("pgx", pooler.URL+"&default_query_exec_mode=exec")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for range 20 { // any of the pooler's connections, any number of times
		v, err := Read(t.Context(), db)
		if err != nil || v.RoleSessions < 1 {
			t.Fatalf("%+v, %v", v, err)
		}
		if _, err := LongestQueries(t.Context(), db, QueryOptions{Text: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	db, err := sql.Open("pgx", srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, db); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want it to be context.Canceled", err)
	}
	if _, err := LongestQueries(ctx, db, QueryOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want it to be context.Canceled", err)
	}
}
