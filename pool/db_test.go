package pool

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
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
			t.Errorf("%d in use after the keeper's round", s.InUse)
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
