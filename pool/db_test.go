package pool

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/gate"
)

func TestLimitsOfDBBreakNothing(t *testing.T) {
	inWire(t, orders(4, 0), func(t *testing.T, p *Pool, _ *wireServer, log *logLines) {
		db := p.DB()
		db.SetMaxOpenConns(1)
		db.SetMaxIdleConns(100)
		db.SetConnMaxLifetime(time.Nanosecond)
		db.SetConnMaxIdleTime(time.Nanosecond)
		started := time.Now()
		var calls sync.WaitGroup
		for range 4 {
			calls.Go(func() {
				if _, err := db.ExecContext(t.Context(), "sleep 10s"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if s := p.Stats(); s.InUse != 1 {
			t.Errorf("%d in use at once", s.InUse)
		}
		time.Sleep(maxPeriod) // those in database/sql's own queue are freed
		synctest.Wait()
		if s := p.Stats(); s.InUse != 4 {
			t.Errorf("%d in use after the housekeeper's round", s.InUse)
		}
		calls.Wait()
		if took := time.Since(started); took > 10*time.Second+maxPeriod {
			t.Errorf("took %s", took)
		}
		time.Sleep(time.Minute)
		if s := p.Stats(); s.InUse != 0 || s.Idle != 4 { // nothing is kept by db
			t.Errorf("%d in use, %d idle", s.InUse, s.Idle)
		}
		if n := len(log.with(t, "limits set on Pool.DB were removed: the pool's own apply to it")); n != 1 {
			t.Errorf("said so %d times", n)
		}
	})
}

func TestClosingDBDoesNotCloseThePool(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		db := p.DB()
		if db != p.DB() {
			t.Error("a new one each time")
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := db.PingContext(t.Context()); err == nil {
			t.Error("it is not closed")
		}
		if err := p.WithSession(t.Context(), insert); err != nil {
			t.Error(err)
		}
		if err := p.DB().PingContext(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestDBOfAClosedPool(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		before := p.DB()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if before.PingContext(t.Context()) == nil || p.DB() != before {
			t.Error("still open")
		}
	})
}

func TestFirstDBOfAClosedPool(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		db := p.DB()
		if err := db.PingContext(t.Context()); err == nil || !isClosed(db) {
			t.Errorf("open: %v", err)
		}
	})
}

func TestDBNamesItsCallers(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		rows, err := p.DB().QueryContext(ContextWithName(t.Context(), "orm"), "select")
		if err != nil {
			t.Fatal(err)
		}
		h := p.Holders(0)
		if len(h) != 1 || !strings.HasPrefix(h[0].Caller, "pool/db_test.go:") || h[0].Name != "orm" || h[0].Activity != "rows open" {
			t.Errorf("%+v", h)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
		if s := p.Stats(); s.InUse != 0 || s.AcquireCount != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestDBWaitsInOrderWithEverybodyElse(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		var mu sync.Mutex
		var order []int
		var calls sync.WaitGroup
		stmt, err := p.PrepareContext(t.Context(), "sleep 1s")
		if err != nil {
			t.Fatal(err)
		}
		defer stmt.Close()
		ways := []func(ctx context.Context) error{
			func(ctx context.Context) error { _, err := p.ExecContext(ctx, "sleep 1s"); return err },
			func(ctx context.Context) error { _, err := p.DB().ExecContext(ctx, "sleep 1s"); return err },
			func(ctx context.Context) error { _, err := stmt.ExecContext(ctx); return err },
		}
		for i := range 12 {
			calls.Go(func() {
				if err := ways[i%3](t.Context()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			synctest.Wait()
		}
		calls.Wait()
		for i, got := range order {
			if got != i {
				t.Fatalf("served in the order %v", order)
			}
		}
	})
}

func TestShutdownLetsHoldersFinishAndTurnsOthersAway(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		done := make(chan error, 2)
		go func() { _, err := p.ExecContext(t.Context(), "sleep 5s"); done <- err }()
		synctest.Wait()
		started := time.Now()
		var waiting sync.WaitGroup
		for _, lane := range []Lane{LaneRequest, LaneBackground, LaneProbe} {
			waiting.Go(func() {
				_, err := p.ExecContext(inLane(t, lane), "update")
				if !errors.Is(err, ErrClosed) || time.Since(started) != 0 {
					t.Errorf("%s: %v after %s", lane, err, time.Since(started))
				}
			})
		}
		synctest.Wait()
		if err := p.Shutdown(within(t, 10*time.Second)); err != nil || time.Since(started) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(started))
		}
		waiting.Wait()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := p.DB().PingContext(t.Context()); err == nil {
			t.Error("open")
		}
		if _, err := p.BeginTx(t.Context(), nil); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

func TestShutdownCutsShortWhatDoesNotFinish(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		rows := forgetRows(t, p)
		err := p.Shutdown(within(t, time.Second))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		_ = rows.Close()
	})
}

// TestLimitedDBKeepsPoolTimeout limits the lent *sql.DB while its only connection
// is held: nobody waits in its queue for longer than until the limit is removed.
func TestLimitedDBKeepsPoolTimeout(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		held := holdAll(t, p, 1)
		defer giveBack(held)
		db := p.DB()
		db.SetMaxOpenConns(1)
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		asked := time.Now()
		var calls sync.WaitGroup
		for range 20 {
			calls.Go(func() {
				if _, err := db.ExecContext(t.Context(), "x"); !errors.Is(err, ErrPoolTimeout) {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		if took := time.Since(asked); took > p.cfg.PoolTimeout+maxPeriod {
			t.Errorf("the last one gave up after %s", took)
		}
	})
}

// TestDBShowsThatItIsOpen is for health checks that look at OpenConnections.
func TestDBShowsThatItIsOpen(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		db := p.DB()
		if n := db.Stats().OpenConnections; n < 1 {
			t.Errorf("%d open", n)
		}
		if n := p.Stats().OpenedCount; n != 0 {
			t.Errorf("%d real ones opened for that", n)
		}
		db.SetMaxIdleConns(0)
		db.SetConnMaxLifetime(time.Nanosecond)
		time.Sleep(2 * maxPeriod)
		synctest.Wait()
		if n := db.Stats().OpenConnections; n < 1 {
			t.Errorf("%d open after limits were set", n)
		}
	})
}

// TestConnOfDBTakesItsConnectionAtOnce tells sql.DB.Conn from other calls, and the
// caller why there is none.
func TestConnOfDBTakesItsConnectionAtOnce(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		db := p.DB()
		for range 3 { // on a virtual connection that is new, and on idle ones
			c, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if s := p.Stats(); s.InUse != 1 {
				t.Errorf("%d in use", s.InUse)
			}
			asked := time.Now()
			if _, err := db.Conn(t.Context()); !errors.Is(err, ErrPoolTimeout) || time.Since(asked) != p.cfg.PoolTimeout {
				t.Errorf("%v after %s", err, time.Since(asked))
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if _, err := db.ExecContext(t.Context(), "x"); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestRestingConnectionsGoHome has the owner, a *sql.DB, keep what nobody needs,
// with the limits that the settings name.
func TestRestingConnectionsGoHome(t *testing.T) {
	inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.OverflowLinger = 2, 3, 10*time.Second }, func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		openAll(t, p, 5)
		if s := p.db.Stats(); s.MaxOpenConnections != 5 || s.InUse != 5 {
			t.Errorf("at once: %+v", s)
		}
		time.Sleep(gate.RestAfter + 2*maxPeriod)
		if s := p.db.Stats(); s.Idle != 2 || s.InUse != 3 {
			t.Errorf("rested: %d at home, %d not", s.Idle, s.InUse)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := p.db.Stats(); s.Idle != 2 || s.InUse != 0 || s.MaxIdleClosed != 3 {
			t.Errorf("after the linger: %d at home, %d not, %d closed by database/sql", s.Idle, s.InUse, s.MaxIdleClosed)
		}
		if s := p.Stats(); s.Idle != 2 || s.Closed.Surplus != 3 {
			t.Errorf("%d idle, closed %+v", s.Idle, s.Closed)
		}
		openAll(t, p, 2)
		if s := p.Stats(); s.OpenedCount != 5 {
			t.Errorf("opened %d", s.OpenedCount)
		}
	})
}
