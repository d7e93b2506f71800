package ecosystem

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

const (
	schema = "create table turns (id bigserial primary key, caller integer not null)"
	// sessions lasts long enough that callers meet, and counts as the server counts.
	sessions = "select count(*) from pg_stat_activity, pg_sleep(0.05) where application_name = current_setting('application_name')"
)

func eachLibrary(t *testing.T, test func(*testing.T, *pool.Pool, client), size, overflow int, change ...func(*config.Config)) {
	for name, openClient := range libraries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, size, overflow, change...)
			execute(t, p, schema)
			test(t, p, openClient(t, p))
		})
	}
}

// Ten callers of a library have three connections on the server, and all are served.
func TestLimitHolds(t *testing.T) {
	eachLibrary(t, func(t *testing.T, _ *pool.Pool, c client) {
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				if n, err := c.scalar(t.Context(), sessions); err != nil || n < 1 || n > 3 {
					t.Errorf("%d sessions, %v", n, err)
				}
			})
		}
		callers.Wait()
	}, 2, 1)
}

// Callers get the only connection in the order in which they asked.
func TestOrderIsArrival(t *testing.T) {
	eachLibrary(t, func(t *testing.T, p *pool.Pool, c client) {
		release := hold(t, p)
		var callers sync.WaitGroup
		for caller := range 5 {
			callers.Go(func() {
				if err := c.insert(t.Context(), caller); err != nil {
					t.Error(err)
				}
			})
			waitFor(t, "one more waits", func() bool { return p.Stats().Waiting == caller+1 })
		}
		release()
		callers.Wait()
		if n := count(t, p, "select count(*) from turns where caller = id - 1"); n != 5 {
			t.Errorf("%d of 5 had their turn", n)
		}
	}, 1, 0)
}

// Who waits for too long gets the pool's error, in the library's wrapping.
func TestTimeoutIsThePools(t *testing.T) {
	eachLibrary(t, func(t *testing.T, p *pool.Pool, c client) {
		release := hold(t, p)
		defer release()
		_, err := c.scalar(t.Context(), sessions)
		if !errors.Is(err, pool.ErrPoolTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if err := c.insert(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}, 1, 0, func(cfg *config.Config) { cfg.PoolTimeout = 200 * time.Millisecond })
}

// A holder is named by the line that called the library, not by the library's.
func TestHolderIsTheCaller(t *testing.T) {
	eachLibrary(t, func(t *testing.T, p *pool.Pool, c client) {
		var caller sync.WaitGroup
		caller.Go(func() {
			if _, err := c.scalar(t.Context(), sessions); err != nil {
				t.Error(err)
			}
		})
		var who string
		waitFor(t, "somebody holds", func() bool {
			for _, h := range p.Holders(1) {
				who = h.Caller
			}
			return who != ""
		})
		caller.Wait()
		if !strings.HasPrefix(who, "ecosystem/") && !strings.HasPrefix(who, "sqlcdb/") && !strings.HasPrefix(who, "sqlcpgx/") {
			t.Errorf("the holder is %s", who)
		}
	}, 1, 0)
}

// A library's own transaction is undone, and its connection given back.
func TestTransactionIsTheLibrarys(t *testing.T) {
	eachLibrary(t, func(t *testing.T, p *pool.Pool, c client) {
		if err := c.rollback(t.Context()); err != nil {
			t.Error(err)
		}
		if n := count(t, p, "select count(*) from turns"); n != 0 || p.Stats().InUse != 0 {
			t.Errorf("%d rows, %d connections in use", n, p.Stats().InUse)
		}
	}, 1, 0)
}

// hold takes a connection until release is called.
func hold(t *testing.T, p *pool.Pool) (release func()) {
	t.Helper()
	c, err := p.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
