package pool

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// withStandby are settings for a pool whose reads may go to a standby.
func withStandby(primary *pgtest.Server, readURL string, size, overflow int) config.Config {
	cfg := settled(primary.URL, size, overflow)
	cfg.ReadURL = config.DSN(readURL)
	return cfg
}

// onPairs runs a test on a primary and its standby, with a table for what is written.
func onPairs(t *testing.T, test func(t *testing.T, primary, standby *pgtest.Server)) {
	onServers(t, nil, func(t *testing.T, primary *pgtest.Server) {
		primary.Exec(t, "create table written (id bigserial primary key, n bigint)")
		test(t, primary, primary.Standby(t, nil))
	})
}

// TestStandbys runs what leaves the servers as they are on one pair of them.
func TestStandbys(t *testing.T) {
	t.Parallel()
	onPairs(t, func(t *testing.T, primary, standby *pgtest.Server) {
		for name, test := range map[string]func(t *testing.T, primary, standby *pgtest.Server){
			"reads": testReadsAtAStandby, "writes": testStandbyRefusesWrites, "same": testSameHosts, "no standby": testNoStandbyFromTheStart,
			"resize": testResizeWithStandbys, "close": testCloseWithStandbys, "panic": testPanicAtAStandby,
			"own writes": testReadYourWrites, "behind": testStandbyBehind, "wait": testReadWaitEndsWithItsCaller,
			"failed commits": testProgressOfFailures, "pipelines": testPipelinedReadsAtAStandby,
		} {
			primary.Exec(t, "truncate written")
			replays(t, primary, standby)
			t.Run(name, func(t *testing.T) { test(t, primary, standby) })
			standby.Exec(t, "select pg_wal_replay_resume()")
		}
	})
}

// replays waits until the standby has what the primary has.
func replays(t *testing.T, primary, standby *pgtest.Server) {
	t.Helper()
	until(t, 10*time.Second, "the standby has replayed all", func() bool {
		n, err := primary.QueryInt(t.Context(), "select count(*) from pg_stat_replication where replay_lsn >= pg_current_wal_insert_lsn() or pg_current_wal_insert_lsn()::text like '%0018'")
		return err == nil && n == 1
	})
}

const whichPort = "select current_setting('port')::int"

// readers are the ways in which somebody reads one number. They are named by what
// is asked for.
func readers(p *Pool) map[string]func(ctx context.Context, query string, args ...any) (int, error) {
	one := func(row interface{ Scan(...any) error }) (n int, err error) { return n, row.Scan(&n) }
	inTx := func(ctx context.Context, db interface {
		BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
	}, query string, args []any) (n int, err error) {
		tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return 0, err
		}
		defer tx.Rollback()
		if n, err = one(tx.QueryRowContext(ctx, query, args...)); err != nil {
			return 0, err
		}
		return n, tx.Commit()
	}
	inSession := func(ctx context.Context, query string, args []any, opts ...SessionOption) (n int, err error) {
		err = p.WithSession(ctx, func(ctx context.Context, s *Session) error {
			n, err = one(s.QueryRowContext(ctx, query, args...))
			return err
		}, opts...)
		return n, err
	}
	return map[string]func(ctx context.Context, query string, args ...any) (int, error){
		"row": func(ctx context.Context, q string, a ...any) (int, error) {
			return one(p.QueryRowContext(ctx, q, a...))
		},
		"DB": func(ctx context.Context, q string, a ...any) (int, error) {
			return one(p.DB().QueryRowContext(ctx, q, a...))
		},
		"pgx":     func(ctx context.Context, q string, a ...any) (int, error) { return one(p.Pgx().QueryRow(ctx, q, a...)) },
		"tx":      func(ctx context.Context, q string, a ...any) (int, error) { return inTx(ctx, p, q, a) },
		"DB's tx": func(ctx context.Context, q string, a ...any) (int, error) { return inTx(ctx, p.DB(), q, a) },
		"rows": func(ctx context.Context, q string, a ...any) (n int, err error) {
			rows, err := p.QueryContext(ctx, q, a...)
			if err != nil {
				return 0, err
			}
			defer rows.Close()
			for rows.Next() {
				err = rows.Scan(&n)
			}
			return n, errors.Join(err, rows.Err())
		},
		"pgx's tx": func(ctx context.Context, q string, a ...any) (n int, err error) {
			tx, err := p.Pgx().BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
			if err != nil {
				return 0, err
			}
			defer tx.Rollback(ctx)
			return one(tx.QueryRow(ctx, q, a...))
		},
		"session": func(ctx context.Context, q string, a ...any) (int, error) { return inSession(ctx, q, a, WithStandby()) },
		"read-only session": func(ctx context.Context, q string, a ...any) (int, error) {
			return inSession(ctx, q, a, WithReadOnly())
		},
		"repeatable session": func(ctx context.Context, q string, a ...any) (int, error) {
			return inSession(ctx, q, a, WithStandby(), WithIsolation(sql.LevelRepeatableRead))
		},
		"task": func(ctx context.Context, q string, a ...any) (n int, err error) {
			task := p.Background(ctx, "read", func(ctx context.Context, s *Session) error {
				n, err = one(s.QueryRowContext(ctx, q, a...))
				return err
			}, WithStandby())
			return n, task.Wait(ctx)
		},
	}
}

// testReadsAtAStandby has each kind of call go where it belongs.
func testReadsAtAStandby(t *testing.T, primary, standby *pgtest.Server) {
	p := open(t, withStandby(primary, standby.URL, 4, 0))
	plain, marked := t.Context(), ContextWithStandby(t.Context())
	for name, read := range readers(p) {
		ctx := marked
		if name == "session" || name == "repeatable session" || name == "task" {
			ctx = plain // the option is enough
		} else if n, err := read(plain, whichPort); n != primary.Port || err != nil {
			t.Errorf("%s, without the mark: %d, %v", name, n, err)
		}
		if n, err := read(ctx, whichPort); n != standby.Port || err != nil {
			t.Errorf("%s: went to %d, want the standby at %d; %v", name, n, standby.Port, err)
		}
	}
	for name, stay := range stayers(p) {
		if n, err := stay(marked); n != primary.Port || err != nil {
			t.Errorf("%s: went to %d, want the primary at %d; %v", name, n, primary.Port, err)
		}
	}
	s := p.Stats()
	if s.Standby == nil || s.Standby.ReadCount != 11 || s.Standby.UnusableCount+s.Standby.BehindCount+s.Standby.WaitCount != 0 || !s.Standby.OK {
		t.Errorf("%+v", s.Standby)
	}
	if s.Limit != 2 || s.Standby.Limit != 2 || s.Standby.Budget != 4 {
		t.Errorf("%d at the primary, %d at the standby", s.Limit, s.Standby.Limit)
	}
}

// stayers are what goes to the primary also where the context asks for a standby.
func stayers(p *Pool) map[string]func(ctx context.Context) (int, error) {
	return map[string]func(ctx context.Context) (int, error){
		"prepared": func(ctx context.Context) (n int, err error) {
			st, err := p.PrepareContext(ctx, whichPort)
			if err != nil {
				return 0, err
			}
			defer st.Close()
			return n, st.QueryRowContext(ctx).Scan(&n)
		},
		"conn": func(ctx context.Context) (n int, err error) {
			c, err := p.Conn(ctx)
			if err != nil {
				return 0, err
			}
			defer c.Close()
			return n, c.QueryRowContext(ctx, whichPort).Scan(&n)
		},
		"tx": func(ctx context.Context) (n int, err error) {
			tx, err := p.BeginTx(ctx, nil)
			if err != nil {
				return 0, err
			}
			defer tx.Rollback()
			return n, tx.QueryRowContext(ctx, whichPort).Scan(&n)
		},
		"serializable": func(ctx context.Context) (n int, err error) {
			tx, err := p.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelSerializable})
			if err != nil {
				return 0, err
			}
			defer tx.Rollback()
			return n, tx.QueryRowContext(ctx, whichPort).Scan(&n)
		},
		"session": func(ctx context.Context) (n int, err error) {
			return n, p.WithSession(ctx, func(ctx context.Context, s *Session) error { return s.QueryRowContext(ctx, whichPort).Scan(&n) })
		},
		"exec": func(ctx context.Context) (n int, err error) {
			if _, err = p.ExecContext(ctx, "insert into written (n) values (current_setting('port')::int)"); err != nil {
				return 0, err
			}
			return n, p.QueryRowContext(context.Background(), "select n from written order by id desc limit 1").Scan(&n)
		},
		"pgx": func(ctx context.Context) (n int, err error) {
			return n, p.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error { return c.QueryRow(ctx, whichPort).Scan(&n) })
		},
	}
}

// testStandbyRefusesWrites gives the server's own error to who writes there, and
// the connection stays good.
func testStandbyRefusesWrites(t *testing.T, primary, standby *pgtest.Server) {
	p := open(t, withStandby(primary, standby.URL, 2, 0))
	for name, read := range readers(p) {
		if _, err := read(ContextWithStandby(t.Context()), "insert into written (n) values (1) returning 1"); pgdriver.SQLState(err) != "25006" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := p.standbys.p.Stats(); s.OpenedCount != 1 {
		t.Errorf("%d connections were opened at the standby for it: %+v", s.OpenedCount, s.Closed)
	}
	err := p.WithSession(t.Context(), func(context.Context, *Session) error { return nil }, WithStandby(), WithIsolation(sql.LevelSerializable))
	if err == nil || !strings.Contains(err.Error(), "WithStandby excludes") {
		t.Error(err)
	}
	err = p.WithSession(t.Context(), func(context.Context, *Session) error { return nil }, WithStandby(), WithAutocommit())
	if err == nil {
		t.Error("a standby's session is a transaction")
	}
}

// TestOpenWithStandbys refuses what cannot be used, and names the variable.
func TestOpenWithStandbys(t *testing.T) {
	cfg := config.Default()
	cfg.DatabaseURL, cfg.ReadURL = "host=h", "host=h sslmode=verify-full sslrootcert=/nowhere"
	if _, err := Open(cfg, quietly); err == nil || !strings.HasPrefix(err.Error(), "config: DATABASE_READ_URL: ") {
		t.Error(err)
	}
	p, err := Open(cfg.ForMigrations(), quietly)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if s := p.Stats(); s.Standby != nil {
		t.Error("there are standbys that nobody asked for")
	}
	if text, err := p.Progress(t.Context()); text != "" || err != nil {
		t.Error(text, err)
	}
}

// cfgAs is a connection string for another role.
func cfgAs(dsn config.DSN, role string) config.DSN {
	return config.DSN(strings.Replace(string(dsn), pgtest.Superuser+"@", role+"@", 1))
}
