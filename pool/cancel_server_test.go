package pool

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// longRun makes the flood's statements as long as the ones that the problem was
// first seen with, where pgxpool shows it too, and other tests as thorough as
// their time allows.
var longRun = os.Getenv("DBPOOL_LONG") == "1"

// TestCancelFlood cancels statements that the server never hears were cancelled,
// so that each of them runs to its end with nobody waiting: the server's sessions
// must not become more than the limit all the same.
func TestCancelFlood(t *testing.T) {
	t.Parallel()
	statement, flood := "select pg_sleep(8)", 6*time.Second
	if longRun {
		statement, flood = "select pg_sleep(40)", 45*time.Second
	}
	onServers(t, map[string]string{"max_connections": "300"}, func(t *testing.T, srv *pgtest.Server) {
		proxy := srv.Proxy(t)
		proxy.SwallowCancels(true)
		const limit = 5
		// The rivals fill the server. As an ordinary role they leave room for who counts them.
		srv.Exec(t, "create role app login")
		rivals := contenders(t, proxy.URL(srv.DSN("postgres", "app", "")), limit)
		s := sample(t, srv, "ours", "database/sql", "pgxpool")
		inParallel(len(rivals), func(i int) {
			cancelFor(t, rivals[i], flood, 2*limit, 100*time.Millisecond, statement)
		})
		for _, r := range rivals {
			t.Logf("%s: at most %d sessions with a limit of %d", r.name, s.peak(r.name), limit)
		}
		if n := s.peak("ours"); n != limit {
			t.Errorf("ours: %d sessions, want %d", n, limit)
		}
		if s.peak("database/sql") <= limit || longRun && s.peak("pgxpool") <= limit {
			t.Error("the rivals kept the limit too: the test shows nothing")
		}
		// What still runs would outlast the time that Close waits.
		srv.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()")
	})
}

// cancelFor has workers run a statement over and over and cancel it each time.
func cancelFor(t *testing.T, c *contender, d time.Duration, workers int, patience time.Duration, statement string) {
	end := time.Now().Add(d)
	inParallel(workers, func(int) {
		for time.Now().Before(end) {
			ctx, cancel := context.WithTimeout(t.Context(), patience/2+rand.N(patience))
			if err := c.exec(ctx, statement); err == nil {
				t.Errorf("%s: %s was not cancelled", c.name, statement)
			}
			cancel()
		}
	})
}

// TestCancelKeepsConnections cancels statements that the server is told of.
func TestCancelKeepsConnections(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) { cancelMany(t, srv.URL, 300) })
}

// cancelMany cancels so many statements of ours, a thousand in a long run, and
// forty of each rival's.
func cancelMany(t *testing.T, dsn string, ofOurs int) {
	if longRun {
		ofOurs = 1000
	}
	const limit = 5
	burned := 0 // the most that a rival opened
	for _, r := range contenders(t, dsn, limit) {
		statements := 40
		if r.name == "ours" {
			statements = ofOurs
		}
		inParallel(limit, func(int) {
			for range statements / limit {
				cancelOne(t, r)
			}
		})
		t.Logf("%s: opened %d connections for %d cancelled statements", r.name, r.opened(), statements)
		if n := r.opened(); r.name != "ours" {
			burned = max(burned, n)
		} else if n > limit {
			t.Errorf("ours: opened %d connections, want at most %d; closed %+v", n, limit, r.pool.Stats().Closed)
		}
	}
	// Not each rival: on a busy machine pgxpool meets most cancellations before it sends anything.
	if burned <= 2*limit {
		t.Errorf("the rivals kept their connections too, %d at most: the test shows nothing", burned)
	}
}

// cancelOne cancels one statement at a random moment, its beginning included,
// and then makes sure that the cancellation hits nobody else.
func cancelOne(t *testing.T, c *contender) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(rand.N(4*time.Millisecond), cancel)
	err := c.exec(ctx, "select pg_sleep(5)")
	if !errors.Is(err, context.Canceled) && c.name == "ours" {
		t.Errorf("a cancelled statement returned %v", err)
	}
	if err := c.exec(t.Context(), "select $1::int", 1); err != nil && c.name == "ours" {
		t.Errorf("the statement after a cancelled one: %v", err)
	}
}

// TestCancelledTransaction cancels transactions at random moments: nothing of
// them may be left, neither on the server nor of the pool's connections.
func TestCancelledTransaction(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		const limit = 5
		p := open(t, settled(srv.URL, limit, 0))
		srv.Exec(t, "create table t (i int)")
		inParallel(limit, func(int) {
			for range 40 {
				cancelledTransaction(t, p)
			}
		})
		if n, err := srv.QueryInt(t.Context(), "select count(*) from t"); n != 0 || err != nil {
			t.Errorf("%d rows of cancelled transactions were written (%v)", n, err)
		}
		// database/sql rolls back in a goroutine of its own.
		until(t, 10*time.Second, "every connection back", func() bool { return p.Stats().InUse == 0 })
		if s := p.Stats(); s.OpenedCount > limit {
			t.Errorf("opened %d connections, want %d; closed %+v", s.OpenedCount, limit, s.Closed)
		}
		if n, err := srv.QueryInt(t.Context(), "select count(*) from pg_stat_activity where state like 'idle in transaction%'"); n != 0 || err != nil {
			t.Errorf("%d transactions left open (%v)", n, err)
		}
	})
}

func cancelledTransaction(t *testing.T, p *Pool) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tx, err := p.BeginTx(ctx, nil)
	if err != nil {
		t.Error(err)
		return
	}
	_, err = tx.ExecContext(ctx, "insert into t values ($1)", 1)
	if err != nil {
		t.Error(err)
	}
	time.AfterFunc(rand.N(2*time.Millisecond), cancel)
	_, err = tx.ExecContext(ctx, "select pg_sleep(5)")
	if !errors.Is(err, context.Canceled) && !errors.Is(err, sql.ErrTxDone) {
		t.Errorf("a cancelled statement returned %v", err)
	}
	_ = tx.Rollback() // or database/sql has done it
	if err := p.PingContext(t.Context()); err != nil {
		t.Errorf("the statement after a cancelled transaction: %v", err)
	}
}
