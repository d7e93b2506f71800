package pool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// refused counts how often the server's log says that a role had no session left.
func refused(srv *pgtest.Server, role string) int {
	return strings.Count(srv.Log(), fmt.Sprintf("too many connections for role %q", role))
}

// refusals counts dials that failed for want of room.
type refusals struct {
	nobody
	n atomic.Int64
}

func (r *refusals) Dialed(_ time.Duration, err error) {
	if pgdriver.SQLState(err) == pgdriver.StateTooManyConnections {
		r.n.Add(1)
	}
}

// TestRoleLimit gives each contender a role of its own that may have exactly as
// many sessions as the pool, and then ends sessions in all the ways there are.
// The server is the judge: it refuses what is one too many.
func TestRoleLimit(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		const limit = 5
		proxy := srv.Proxy(t)
		proxy.SwallowCancels(true)
		dsn := map[string]string{}
		for _, name := range []string{"ours", "database/sql", "pgxpool"} {
			srv.Exec(t, fmt.Sprintf("create role %q login connection limit %d; grant pg_signal_backend to %[1]q", name, limit))
			dsn[name] = as(proxy.URL(srv.DSN("postgres", name, "")), name)
		}
		cfg := settled(dsn["ours"], 2, limit-2)
		cfg.PoolRecycle, cfg.OverflowLinger = 500*time.Millisecond, 50*time.Millisecond
		seen := &refusals{}
		p := open(t, cfg, WithObserver(seen))
		rivals := []*contender{mine(p), rawPool(t, dsn["database/sql"], limit), pgxPool(t, dsn["pgxpool"], limit)}
		enough := map[string]func() bool{ // a busy machine churns less in the same time
			"ours":         func() bool { return p.Stats().OpenedCount >= 5*limit },
			"database/sql": func() bool { return refused(srv, "database/sql") > 0 },
			"pgxpool":      func() bool { return true },
		}
		inParallel(len(rivals), func(i int) {
			r, end := rivals[i], time.Now().Add(time.Minute)
			for churn(t, r, 4*time.Second, 2*limit); !enough[r.name]() && time.Now().Before(end); {
				churn(t, r, time.Second, 2*limit)
			}
		})

		for _, r := range rivals {
			t.Logf("%s: opened %d connections, refused %d", r.name, r.opened(), refused(srv, r.name))
		}
		if n := refused(srv, "ours"); n != 0 || seen.n.Load() != 0 {
			t.Errorf("the server refused %d of our connections, and we saw it %d times", n, seen.n.Load())
		}
		if n := p.Stats().OpenedCount; n < 5*limit {
			t.Errorf("opened only %d connections: that is no churn", n)
		}
		if refused(srv, "database/sql") == 0 {
			t.Error("database/sql was never refused either: the test shows nothing")
		}
	})
}

// churn cancels, kills, recycles and lets connections go idle.
func churn(t *testing.T, c *contender, d time.Duration, workers int) {
	inParallel(workers, func(i int) { abandon(t, c, "select pg_sleep(2)", 100*time.Millisecond) })
	end := time.Now().Add(d)
	inParallel(workers, func(i int) {
		for time.Now().Before(end) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			switch rand.IntN(10) {
			case 0:
				_ = c.exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid() order by random() limit 1", c.name)
			case 1:
				_ = c.exec(ctx, "select pg_terminate_backend(pg_backend_pid())")
			case 2:
				if c.pool != nil {
					c.pool.Recycle()
				}
			case 3, 4, 5:
				abandon(t, c, "select pg_sleep(0.5)", rand.N(5*time.Millisecond))
			case 6:
				_ = c.tx(ctx, "select pg_sleep(0.002)")
			case 7:
				time.Sleep(rand.N(100 * time.Millisecond))
			default:
				_ = c.exec(ctx, "select $1::int", i)
			}
			cancel()
		}
	})
}

// abandon cancels a statement after a while, and runs another right behind it.
func abandon(t *testing.T, c *contender, statement string, after time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	_ = c.exec(ctx, statement)
	_ = c.exec(t.Context(), "select $1::int", 1)
}
