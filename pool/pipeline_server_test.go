package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// openPipelining opens a pool of few connections on a real server.
func openPipelining(t *testing.T, srv *pgtest.Server, conns int, edit func(*config.Config)) *Pool {
	t.Helper()
	cfg := config.Default()
	cfg.DatabaseURL, cfg.PoolSize, cfg.MaxOverflow, cfg.Fleet = config.DSN(srv.URL), conns, 0, config.FleetOff
	if edit != nil {
		edit(&cfg)
	}
	p, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// teach executes a statement until it may share.
func teach(t *testing.T, p *Pool, query string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); p.table.Lookup(query).Why(time.Now()) != pgdriver.Shares; {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not share: %s", query, p.table.Lookup(query).Why(time.Now()))
		}
		if _, err := p.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
}

// held occupies all connections of a pool of the size n, until release.
func held(t *testing.T, p *Pool, n int) (release func()) {
	t.Helper()
	var conns []*sql.Conn
	for range n {
		c, err := p.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	return func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
}

// queued waits until n callers wait.
func queued(t *testing.T, p *Pool, n int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); p.Stats().Waiting < n; {
		if time.Now().After(deadline) {
			t.Fatalf("%d wait, want %d", p.Stats().Waiting, n)
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond) // they have offered their statements
}

func TestPipeline(t *testing.T) {
	p := openPipelining(t, pgtest.Shared(t), 1, nil)
	const query = "select $1::int, 'n' || $1"
	teach(t, p, query, 0)
	before := p.Stats().AcquireCount
	release := held(t, p, 1)
	const callers = 20
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			var n int
			var s string
			if err := p.QueryRowContext(t.Context(), query, i).Scan(&n, &s); err != nil || n != i || s != fmt.Sprint("n", i) {
				t.Errorf("%d: got %d, %q, %v", i, n, s, err)
			}
		})
	}
	queued(t, p, callers)
	release()
	all.Wait()
	st := p.Stats()
	if st.Pipeline.SharedCount != callers || st.Pipeline.RunCount != 1 || st.Pipeline.RunLengths[4] != 1 {
		t.Errorf("%+v", st.Pipeline)
	}
	if st.InUse != 0 || st.Waiting != 0 || st.AcquireCount != before+1+callers {
		t.Errorf("in use %d, waiting %d, acquired %d, before %d", st.InUse, st.Waiting, st.AcquireCount, before)
	}
}

// The connections that runs were granted are dead, which shows before or after
// the first statement was sent: the callers are put back in the queue, and whoever
// gets the next connection leads those who stand there then.
func TestPipelineOverDeadConnections(t *testing.T) {
	srv := pgtest.Shared(t)
	const query, conns, callers = "select $1::int + 7", 4, 60
	p := openPipelining(t, srv, conns, func(cfg *config.Config) { cfg.ApplicationName = "dead connections" })
	teach(t, p, query, 0)
	for range 8 {
		release := held(t, p, conns)
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				var n int
				if err := p.QueryRowContext(t.Context(), query, i).Scan(&n); err != nil || n != i+7 {
					t.Errorf("%d: got %d, %v", i, n, err)
				}
			})
		}
		queued(t, p, callers)
		srv.Exec(t, "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'dead connections'")
		release()
		all.Wait()
	}
	until(t, 5*time.Second, "everything is given back", func() bool { st := p.Stats(); return st.InUse == 0 && st.Waiting == 0 })
}

// Each statement keeps its own fate: an error, a caller that leaves, arguments
// that panic, one that may not share.
func TestPipelineFates(t *testing.T) {
	p := openPipelining(t, pgtest.Shared(t), 1, nil)
	const query, fails = "select $1::int", "select 1 / $1::int"
	teach(t, p, query, 0)
	teach(t, p, fails, 1)
	before := p.Stats().Pipeline.Unshared
	release := held(t, p, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	call := func(ctx context.Context, query string, arg any, check func(n int, err error)) {
		all.Go(func() {
			var n int
			defer func() {
				if v := recover(); v != nil {
					check(-1, fmt.Errorf("panic: %v", v))
				}
			}()
			check(n, p.QueryRowContext(ctx, query, arg).Scan(&n))
		})
	}
	for i := range 5 {
		call(t.Context(), query, i, func(_ int, err error) {
			if err != nil {
				t.Error(err)
			}
		})
		call(t.Context(), fails, 0, func(_ int, err error) {
			if pgdriver.SQLState(err) != "22012" {
				t.Errorf("division by zero: %v", err)
			}
		})
		call(ctx, query, i, func(_ int, err error) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled while it waited: %v", err)
			}
		})
		call(t.Context(), query, panics{}, func(n int, _ error) {
			if n != -1 {
				t.Error("no panic")
			}
		})
		call(t.Context(), "select pg_backend_pid() + $1::int * 0", i, func(_ int, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	queued(t, p, 25)
	cancel()
	release()
	all.Wait()
	if st := p.Stats(); st.InUse != 0 || st.Waiting != 0 || st.Pipeline.SharedCount == 0 || st.Pipeline.Unshared.Arguments != before.Arguments+5 || st.Pipeline.Unshared.New != before.New+5 {
		t.Errorf("in use %d, waiting %d, %+v", st.InUse, st.Waiting, st.Pipeline)
	}
}

type panics struct{}

// Value panics, as a driver.Valuer may.
func (panics) Value() (driver.Value, error) { panic("no value") }

// Under load, with connections that are terminated and callers that leave, every
// caller gets its own answer.
func TestPipelineStress(t *testing.T) {
	srv := pgtest.Shared(t)
	p := openPipelining(t, srv, 3, func(c *config.Config) { c.Pipeline = config.PipelineAll })
	if _, err := p.ExecContext(t.Context(), "create table done (id text)"); err != nil {
		t.Fatal(err)
	}
	const read, write = "select $1::text", "insert into done values ($1::text)"
	teach(t, p, read, "x")
	teach(t, p, write, "x")
	var reported, unknown atomic.Int64
	var callers sync.WaitGroup
	for g := range 60 {
		callers.Go(func() {
			for i := range 40 {
				stressCall(t, p, fmt.Sprintf("%d-%d", g, i), read, write, i, &reported, &unknown)
			}
		})
	}
	kill := time.NewTicker(100 * time.Millisecond)
	defer kill.Stop()
	over := make(chan struct{})
	go func() { callers.Wait(); close(over) }()
	for done := false; !done; {
		select {
		case <-over:
			done = true
		case <-kill.C:
			_, _ = p.ExecContext(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid() limit 1", p.Config().ApplicationName)
		}
	}
	var rows, ids int64
	if err := p.QueryRowContext(t.Context(), "select count(*), count(distinct id) from done where id <> 'x'").Scan(&rows, &ids); err != nil {
		t.Fatal(err)
	}
	if rows != ids || ids < reported.Load() || ids > reported.Load()+unknown.Load() {
		t.Errorf("%d rows of %d, %d reported, %d unknown", rows, ids, reported.Load(), unknown.Load())
	}
	t.Logf("%d reported, %d unknown; %+v", reported.Load(), unknown.Load(), p.Stats().Pipeline)
}

func stressCall(t *testing.T, p *Pool, id, read, write string, i int, reported, unknown *atomic.Int64) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if i%7 == 0 {
		defer time.AfterFunc(time.Duration(i)*50*time.Microsecond, cancel).Stop()
	}
	if i%3 == 0 {
		switch _, err := p.ExecContext(ctx, write, id); {
		case err == nil:
			reported.Add(1)
		case ctx.Err() != nil || errors.Is(err, pgdriver.ErrLost) || pgdriver.SQLState(err) == pgdriver.StateAdminShutdown:
			unknown.Add(1)
		default:
			t.Error(err)
		}
		return
	}
	var got string
	err := p.QueryRowContext(ctx, read, id).Scan(&got)
	if err == nil && got != id || err != nil && ctx.Err() == nil && !errors.Is(err, pgdriver.ErrLost) && pgdriver.SQLState(err) != pgdriver.StateAdminShutdown {
		t.Errorf("%s: got %q, %v", id, got, err)
	}
}

// Callers whose contexts end together leave together, whoever of them saw to the
// answers of the others: each call returns, and every connection comes back.
func TestEverybodyLeavesAtOnce(t *testing.T) {
	t.Parallel()
	p := openShared(t, 4, 0, nil)
	defer p.Close()
	const query = "select $1::int + 1"
	teach(t, p, query, 1)
	for round := range 60 {
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 150 {
			ask := []func(*int) error{
				func(n *int) error { return p.QueryRowContext(ctx, query, 1).Scan(n) },
				func(n *int) error { return p.Pgx().QueryRow(ctx, query, 1).Scan(n) },
				func(n *int) error { return p.DB().QueryRowContext(ContextWithPipelining(ctx), query, 1).Scan(n) },
			}[i%3]
			all.Go(func() {
				for n := 0; ctx.Err() == nil; {
					_ = ask(&n)
				}
			})
		}
		time.Sleep(time.Duration(5+round%10) * time.Millisecond)
		cancel()
		left := make(chan struct{})
		go func() { all.Wait(); close(left) }()
		select {
		case <-left:
		case <-time.After(20 * time.Second):
			t.Fatalf("round %d: calls do not return: %+v", round, p.Stats())
		}
	}
	until(t, 5*time.Second, "every connection is back", func() bool { return p.Stats().InUse == 0 })
	if p.Stats().Pipeline.RunCount == 0 {
		t.Error("nothing was shared")
	}
}
