package pool

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestRestartIdle restarts the server under connections that nobody uses: all of
// them are stale, and no caller may notice.
func TestRestartIdle(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		const limit = 5
		rivals := contenders(t, srv.URL, limit)
		for _, restart := range []func(testing.TB){srv.Restart, func(t testing.TB) { srv.Kill(t); srv.Restart(t) }} {
			for _, r := range rivals {
				inParallel(limit, func(int) { mustExec(t, r, "select pg_sleep(0.1)") })
			}
			restart(t)
			for _, r := range rivals {
				failed := countFailures(2*limit, func() error { return r.exec(t.Context(), "select $1::int", 1) })
				t.Logf("%s: %d of %d failed", r.name, failed, 2*limit)
				if r.name == "ours" && failed > 0 {
					t.Errorf("%d of %d callers noticed the restart", failed, 2*limit)
				}
			}
		}
	})
}

// countFailures runs work n times at once.
func countFailures(n int, work func() error) int {
	var failed atomic.Int64
	inParallel(n, func(int) {
		if work() != nil {
			failed.Add(1)
		}
	})
	return int(failed.Load())
}

// TestRestartUnderLoad restarts the server under callers who never stop. Only a
// statement that was being executed may fail: one for each connection.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		const limit = 5
		p := open(t, settled(srv.URL, limit, 0))
		raw := rawPool(t, srv.URL, limit)
		ours := startCalls(t, 2*limit, func(ctx context.Context) error { return p.QueryRowContext(ctx, "select $1::int", 1).Scan(new(int)) })
		theirs := startCalls(t, 2*limit, func(ctx context.Context) error { return raw.exec(ctx, "select $1::int", 1) })
		ours.await(t, 100)
		srv.Restart(t)
		ours.await(t, 100)
		ours.stop()
		theirs.stop()
		t.Logf("ours: %d failed; database/sql: %d", len(ours.failures), len(theirs.failures))
		if len(ours.failures) > limit {
			t.Errorf("%d callers failed, want at most one for each of %d connections", len(ours.failures), limit)
		}
		ours.wantConnectionErrors(t)
		if len(theirs.failures) <= limit {
			t.Error("database/sql was no worse: the test shows nothing")
		}
	})
}

// TestKillUnderLoad ends sessions that are idle, or were a moment ago.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		const limit, kills = 5, 80
		p := open(t, settled(srv.URL, limit, 0))
		calls := startCalls(t, limit-1, func(ctx context.Context) error {
			time.Sleep(time.Millisecond)
			return p.QueryRowContext(ctx, "select $1::int", 1).Scan(new(int))
		})
		killed := 0
		for killed < kills {
			calls.await(t, 2)
			n, err := srv.QueryInt(t.Context(), `select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity
				where application_name = 'ours' and state = 'idle' order by random() limit 1) k`)
			if err != nil {
				t.Fatal(err)
			}
			killed += n
		}
		calls.stop()
		t.Logf("%d sessions ended, %d of %d statements failed; closed %+v", killed, len(calls.failures), calls.served.Load(), p.Stats().Closed)
		calls.wantConnectionErrors(t)
		if len(calls.failures) > kills/10 {
			t.Errorf("%d of %d kills were noticed", len(calls.failures), kills)
		}
	})
}

// calls is a load whose failures matter one by one.
type calls struct {
	served   atomic.Int64
	end      context.CancelFunc
	done     chan struct{}
	mu       sync.Mutex // guards failures
	failures []error
}

func startCalls(t testing.TB, workers int, call func(context.Context) error) *calls {
	ctx, cancel := context.WithCancel(context.Background())
	c := &calls{end: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		inParallel(workers, func(int) {
			for ctx.Err() == nil {
				c.note(call(context.WithoutCancel(ctx)))
			}
		})
	}()
	t.Cleanup(c.stop)
	return c
}

func (c *calls) note(err error) {
	if err == nil {
		c.served.Add(1)
		return
	}
	c.mu.Lock()
	c.failures = append(c.failures, err)
	c.mu.Unlock()
	time.Sleep(time.Millisecond)
}

// await waits until n more calls were served.
func (c *calls) await(t testing.TB, n int64) {
	t.Helper()
	goal := c.served.Load() + n
	until(t, 30*time.Second, "the load is served", func() bool { return c.served.Load() >= goal })
}

func (c *calls) stop() {
	c.end()
	<-c.done
}

func (c *calls) wantNoFailure(t testing.TB) {
	t.Helper()
	for _, err := range c.failures {
		t.Error(err)
	}
}

// wantConnectionErrors wants every failure to be the end of a connection, in
// the server's or in the system's words.
func (c *calls) wantConnectionErrors(t testing.TB) {
	t.Helper()
	for _, err := range c.failures {
		lost := pgdriver.SQLState(err) == pgdriver.StateAdminShutdown || pgdriver.SQLState(err) == pgdriver.StateCrashShutdown || errors.Is(err, io.ErrUnexpectedEOF) ||
			errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
		if !lost {
			t.Errorf("%T %v", err, err)
		}
	}
}

// TestStartingUp meets a server that does not take connections yet: callers
// wait for it, as they do for one that is not there at all.
func TestStartingUp(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	cfg := settled(srv.URL, 2, 0)
	p := open(t, cfg)
	srv.Halt(t)
	ready := make(chan error)
	go func() { ready <- p.Ready(t.Context()) }()
	until(t, 5*time.Second, "the server is found missing", func() bool { return p.Stats().Server.Reason == "unreachable" })
	srv.Restart(t)
	if err := <-ready; err != nil {
		t.Error(err)
	}
	if s := p.Stats(); !s.Server.OK || s.DialErrorCount == 0 {
		t.Errorf("%+v after %d failed dials", s.Server, s.DialErrorCount)
	}
}

// TestWrongFromTheStart reports at once what waiting does not change.
func TestWrongFromTheStart(t *testing.T) {
	t.Parallel()
	onServersWith(t, pgtest.Options{Auth: pgtest.AuthSCRAM}, func(t *testing.T, srv *pgtest.Server) {
		srv.Exec(t, "create role app login password 'right'")
		srv.Exec(t, "create database closed")
		srv.Exec(t, "revoke connect on database closed from public")
		for name, c := range map[string]struct{ dsn, reason string }{
			"password": {srv.DSN("postgres", "app", "wrong"), "authentication"},
			"user":     {srv.DSN("postgres", "nobody", "right"), "authentication"},
			"database": {srv.DSN("missing", "app", "right"), "no such database"},
			"right":    {srv.DSN("closed", "app", "right"), "no privilege to connect"},
		} {
			t.Run(name, func(t *testing.T) {
				p := open(t, settled(c.dsn, 2, 0))
				wantDialError(t, p, c.reason)
				wantDialError(t, p, c.reason) // also between two dials
				if err := p.Ready(t.Context()); err == nil || errors.Is(err, ErrPoolTimeout) {
					t.Errorf("Ready returned %v", err)
				}
			})
		}
	})
}

// TestRecycleUnderLoad replaces all connections while they are in use, twice.
func TestRecycleUnderLoad(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		const limit = 5
		p := open(t, settled(srv.URL, limit, 0))
		load := startCalls(t, 2*limit, func(ctx context.Context) error { return p.QueryRowContext(ctx, "select $1::int", 1).Scan(new(int)) })
		load.await(t, 100)
		for round := range uint64(2) {
			before := backends(t, srv)
			p.Recycle()
			until(t, 20*time.Second, "all are replaced", func() bool { return p.Stats().Closed.Recycled >= limit*(round+1) })
			load.await(t, 100)
			until(t, 20*time.Second, "those of before are gone", func() bool {
				for pid := range backends(t, srv) {
					if before[pid] {
						return false
					}
				}
				return true
			})
		}
		load.stop()
		load.wantNoFailure(t)
	})
}

// backends are the process ids of our sessions.
func backends(t testing.TB, srv *pgtest.Server) map[int]bool {
	t.Helper()
	db, err := sql.Open("pgx", srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "select pid from pg_stat_activity where application_name = 'ours'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	pids := map[int]bool{}
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			t.Fatal(err)
		}
		pids[pid] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return pids
}

// TestRotatingPassword changes the role's password under load, with connections
// that live so short that the pool is dialing all the time.
func TestRotatingPassword(t *testing.T) {
	t.Parallel()
	onServersWith(t, pgtest.Options{Auth: pgtest.AuthSCRAM}, func(t *testing.T, srv *pgtest.Server) {
		const limit = 5
		srv.Exec(t, "create role app login password 'zero'")
		var password atomic.Value
		password.Store("zero")
		var asked atomic.Int64
		cfg := settled(srv.DSN("postgres", "app", "never used"), limit, 0)
		cfg.PoolRecycle = time.Second
		p := open(t, cfg, WithCredentials(func(context.Context) (Credentials, error) {
			asked.Add(1)
			return Credentials{Password: password.Load().(string)}, nil
		}))
		load := startCalls(t, 2*limit, func(ctx context.Context) error { return p.QueryRowContext(ctx, "select $1::int", 1).Scan(new(int)) })
		load.await(t, 100)
		for _, next := range []string{"one", "two", "three"} {
			srv.Exec(t, "alter role app password '"+next+"'")
			load.await(t, 500) // the supplier has not heard of it yet
			password.Store(next)
			opened := p.Stats().OpenedCount
			until(t, 20*time.Second, "connections with the new password", func() bool { return p.Stats().OpenedCount > opened+limit })
		}
		load.stop()
		load.wantNoFailure(t)
		s := p.Stats()
		t.Logf("%d served, opened %d, %d dials refused, supplier asked %d times", load.served.Load(), s.OpenedCount, s.DialErrorCount, asked.Load())
	})
}

// TestUnixSocket has no TCP underneath.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, pgtest.Options{})
	folder := dataFolder(t, srv)
	srv.Exec(t, "alter system set unix_socket_directories = '"+folder+"'")
	srv.Exec(t, "copy (select 'local all all trust') to program 'cat >> "+folder+"/pg_hba.conf'")
	srv.Restart(t)
	const limit = 3
	p := open(t, settled(with(srv.URL, map[string]string{"host": folder}), limit, 0))
	r := mine(p)
	inParallel(limit, func(int) {
		for range 50 {
			cancelOne(t, r)
		}
	})
	if s := p.Stats(); s.OpenedCount > limit || s.CancelCount == 0 {
		t.Errorf("opened %d connections, cancelled %d statements", s.OpenedCount, s.CancelCount)
	}
	endSessions(t, srv, p)
	mustExec(t, r, "select 1")
}

// dataFolder is where the server's user may write.
func dataFolder(t *testing.T, srv *pgtest.Server) (folder string) {
	t.Helper()
	db, err := sql.Open("pgx", srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "show data_directory").Scan(&folder); err != nil {
		t.Fatal(err)
	}
	return folder
}
