package pool

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/connstate"
)

const (
	leakLine  = "connection held too long"
	clearLine = "connection came back"
)

// forgetRows is where the tests leak.
func forgetRows(t *testing.T, p *Pool) *sql.Rows {
	rows, err := p.QueryContext(ContextWithName(t.Context(), "GET /report"), "select")
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestLeakIsWarnedOfOnceAndClearedOnce(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, _ *wireServer, log *logLines) {
		rows := forgetRows(t, p)
		time.Sleep(time.Minute - 1)
		if n := len(log.with(t, leakLine)); n != 0 {
			t.Fatal("warned too early")
		}
		time.Sleep(maxPeriod)
		synctest.Wait()
		warned := log.with(t, leakLine)
		if len(warned) != 1 {
			t.Fatalf("warned %d times", len(warned))
		}
		line, stack := warned[0], warned[0]["stack"].([]any)
		if line["level"] != "WARN" || line["pool"] != "orders" || line["name"] != "GET /report" || line["activity"] != "rows open" ||
			line["lane"] != "request" || !strings.HasPrefix(line["caller"].(string), "pool/leak_test.go:") || line["pid"] == 0.0 {
			t.Errorf("%v", line)
		}
		if len(stack) < 2 || !strings.Contains(stack[0].(string), "pool.forgetRows ") {
			t.Errorf("stack %v", stack)
		}
		if s := p.Stats(); s.Leaking != 1 || s.LeakWarningCount != 1 || !p.Holders(1)[0].Leaking {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Hour)
		if n := len(log.with(t, leakLine)); n != 1 {
			t.Errorf("warned %d times", n)
		}
		if n := len(log.with(t, clearLine)); n != 0 {
			t.Error("cleared while held")
		}
		_ = rows.Close()
		time.Sleep(maxPeriod)
		synctest.Wait()
		cleared := log.with(t, clearLine)
		if len(cleared) != 1 || cleared[0]["connections"] != 1.0 || cleared[0]["name"] != "GET /report" || cleared[0]["caller"] != line["caller"] || cleared[0]["held_seconds"] == nil {
			t.Errorf("%v", cleared)
		}
		if s := p.Stats(); s.Leaking != 0 || s.LeakWarningCount != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// What stands between a service and its connection is not where to look.
func TestStackOfALeakBeginsWithTheService(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		rows, err := p.DB().QueryContext(t.Context(), "select")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		if stack := p.Holders(1)[0].Stack; len(stack) < 2 || !strings.Contains(stack[0], "pool.TestStackOfALeakBeginsWithTheService.func1 pool/leak_test.go:") {
			t.Errorf("%q", stack)
		}
	})
}

func TestEveryLeakIsWarnedOf(t *testing.T) {
	inWire(t, orders(5, 0), func(t *testing.T, p *Pool, _ *wireServer, log *logLines) {
		var forgotten []*sql.Rows
		for range 3 {
			forgotten = append(forgotten, forgetRows(t, p))
			time.Sleep(20 * time.Second)
		}
		time.Sleep(time.Second)
		for i := 1; i <= 3; i++ { // one place is told once in ten minutes, and each leak is counted
			if n := p.Stats().LeakWarningCount; n != uint64(i) || len(log.with(t, leakLine)) != 1 {
				t.Errorf("warned of %d, want %d, in %d lines", n, i, len(log.with(t, leakLine)))
			}
			time.Sleep(20 * time.Second)
		}
		if s := p.Stats(); s.Leaking != 3 || s.LeakWarningCount != 3 {
			t.Errorf("%+v", s)
		}
		time.Sleep(maxPeriod / 2) // between two rounds
		for _, rows := range forgotten {
			_ = rows.Close()
		}
		time.Sleep(maxPeriod)
		synctest.Wait()
		if cleared := log.with(t, clearLine); len(cleared) != 1 || cleared[0]["connections"] != 3.0 || cleared[0]["held_seconds"].(float64) < 120 {
			t.Errorf("cleared: %v", cleared)
		}
	})
}

// Nine holders that wait for one lock, say, are one trouble and one line.
func TestLeaksOfOnePlaceAreOneLine(t *testing.T) {
	inWire(t, orders(5, 0), func(t *testing.T, p *Pool, _ *wireServer, log *logLines) {
		var forgotten []*sql.Rows
		for range 3 {
			forgotten = append(forgotten, forgetRows(t, p))
		}
		c, err := p.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		warned := log.with(t, leakLine)
		if len(warned) != 2 || warned[0]["connections"] != 3.0 || warned[0]["activity"] != "rows open" || warned[1]["connections"] != 1.0 {
			t.Errorf("%v", warned)
		}
		if s := p.Stats(); s.Leaking != 4 || s.LeakWarningCount != 4 {
			t.Errorf("%+v", s)
		}
		for _, rows := range forgotten {
			_ = rows.Close()
		}
		_ = c.Close()
	})
}

// A place that leaks one connection a minute is a line at once and one every ten
// minutes, with how many there were.
func TestLeaksOfOnePlaceAreToldTogether(t *testing.T) {
	inWire(t, orders(30, 0), func(t *testing.T, p *Pool, _ *wireServer, log *logLines) {
		var forgotten []*sql.Rows
		for range 25 {
			forgotten = append(forgotten, forgetRows(t, p))
			time.Sleep(time.Minute)
		}
		time.Sleep(15 * time.Minute)
		var told []any
		for _, line := range log.with(t, leakLine) {
			told = append(told, line["connections"])
		}
		if want := []any{1.0, 10.0, 10.0, 4.0}; !slices.Equal(told, want) {
			t.Errorf("lines of %v connections, want %v", told, want)
		}
		if s := p.Stats(); s.LeakWarningCount != 25 {
			t.Errorf("%+v", s)
		}
		for _, rows := range forgotten {
			_ = rows.Close()
		}
	})
}

// A line that waits for its ten minutes speaks of those who still hold a connection
// then: of what came back meanwhile nobody has to hear.
func TestLeaksThatCameBackAreNotTold(t *testing.T) {
	inWire(t, orders(5, 0), func(t *testing.T, p *Pool, _ *wireServer, log *logLines) {
		first := forgetRows(t, p)
		time.Sleep(time.Second)
		second := forgetRows(t, p)
		time.Sleep(2 * time.Minute)
		_ = second.Close()
		third := forgetRows(t, p)
		time.Sleep(leaksToldAgain)
		warned := log.with(t, leakLine)
		if len(warned) != 2 || warned[0]["connections"] != 1.0 || warned[1]["connections"] != 1.0 {
			t.Fatalf("%v", warned)
		}
		if held := warned[1]["held_seconds"].(float64); held < 500 || held > 600 { // third, as long as it is held by now
			t.Errorf("held %v s", held)
		}
		_ = first.Close()
		_ = third.Close()
	})
}

func TestNoLeakThresholdNoWarning(t *testing.T) {
	off := func(c *config.Config) { orders(2, 0)(c); c.LeakThreshold = 0 }
	inWire(t, off, func(t *testing.T, p *Pool, _ *wireServer, log *logLines) {
		rows := forgetRows(t, p)
		time.Sleep(24 * time.Hour)
		if s := p.Stats(); s.Leaking != 0 || s.LeakWarningCount != 0 || p.Holders(1)[0].Leaking || len(log.with(t, leakLine)) != 0 {
			t.Errorf("%+v", s)
		}
		_ = rows.Close()
		time.Sleep(maxPeriod)
		synctest.Wait()
		if log.contains(clearLine) {
			t.Error("cleared what was never warned of")
		}
	})
}

func TestLeakOfAForeignConnection(t *testing.T) {
	inPool(t, 1, &hookDriver{}, func(t *testing.T, p *Pool, log *logLines) {
		tx, err := p.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if warned := log.with(t, leakLine); len(warned) != 1 || warned[0]["activity"] != "idle in transaction" {
			t.Errorf("%v", warned)
		}
		_ = tx.Rollback()
		time.Sleep(maxPeriod)
		synctest.Wait()
		if len(log.with(t, clearLine)) != 1 {
			t.Error("not cleared")
		}
	})
}

func TestActivityOfAForeignConnection(t *testing.T) {
	d := &hookDriver{exec: func(context.Context) error { time.Sleep(time.Second); return nil }}
	inPool(t, 1, d, func(t *testing.T, p *Pool, _ *logLines) {
		c, err := p.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		doing := func() string { synctest.Wait(); return p.Holders(1)[0].Activity }
		if got := doing(); got != "idle" {
			t.Error(got)
		}
		go func() { _, _ = c.ExecContext(t.Context(), "update") }()
		if got := doing(); got != "running" {
			t.Error(got)
		}
		time.Sleep(time.Second)
		if got := doing(); got != "idle" {
			t.Error(got)
		}
	})
}

func TestReclaimTakesWhatIsLeftAlone(t *testing.T) {
	inWire(t, reclaiming(orders(1, 0)), func(t *testing.T, p *Pool, s *wireServer, log *logLines) {
		tx, err := p.BeginTx(ContextWithName(t.Context(), "POST /orders"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 { // each statement counts as a sign of life
			time.Sleep(50 * time.Second)
			if _, err := tx.ExecContext(t.Context(), "sleep 5s"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute + 2*maxPeriod) // the housekeeper has seen the last statement, and the minute after it
		if lines := log.with(t, "connection reclaimed"); len(lines) != 1 || lines[0]["name"] != "POST /orders" || lines[0]["activity"] != "reclaimed" {
			t.Errorf("%v", lines)
		}
		_, err = tx.ExecContext(t.Context(), "update")
		wantInError(t, err, ErrReclaimed, `pool "orders": connection reclaimed, held for 5m`, "leak_test.go:", "(POST /orders), idle in transaction", "DB_RECLAIM_AFTER (1m0s)")
		if err := tx.Commit(); err == nil {
			t.Error("committed")
		}
		if _, err := p.ExecContext(within(t, time.Second), "update"); err != nil {
			t.Errorf("the next one: %v", err)
		}
		if _, _, opened := s.figures(); s.live() != 1 || opened != 2 {
			t.Errorf("%d open, %d opened", s.live(), opened)
		}
		if st := p.Stats(); st.Closed.Unclean != 1 {
			t.Errorf("%+v", st.Closed)
		}
	})
}

func TestReclaimNeverTouchesARunningStatement(t *testing.T) {
	inWire(t, reclaiming(orders(1, 0)), func(t *testing.T, p *Pool, _ *wireServer, log *logLines) {
		tx, err := p.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), "sleep 1h"); err != nil {
			t.Error(err)
		}
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		if log.contains("reclaimed") {
			t.Error("reclaimed")
		}
	})
}

func TestNothingIsReclaimedUnasked(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		tx, err := p.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	})
}

// TestReclaimedPlaceGoesToOthers has every holder leak for good.
func TestReclaimedPlaceGoesToOthers(t *testing.T) {
	const size = 3
	inWire(t, reclaiming(orders(size, 0)), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		var leaked []*sql.Tx
		for range size {
			tx, err := p.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			leaked = append(leaked, tx)
		}
		time.Sleep(time.Minute + 2*maxPeriod)
		if st := p.Stats(); st.InUse != 0 || st.Open() != 0 {
			t.Errorf("%d in use, %d open", st.InUse, st.Open())
		}
		openAll(t, p, size)
		if n := p.db.Stats(); n.MaxOpenConnections != size || n.OpenConnections != size {
			t.Errorf("the owner has %d of %d", n.OpenConnections, n.MaxOpenConnections)
		}
		if err := p.Resize(size+1, 0); err != nil {
			t.Error(err)
		}
		for _, tx := range leaked {
			if err := tx.Rollback(); !errors.Is(err, ErrReclaimed) {
				t.Error(err)
			}
		}
		if _, peak, _ := s.figures(); peak != size {
			t.Errorf("%d sessions at once", peak)
		}
		if st := p.Stats(); st.Closed.Unclean != size || st.Idle != size {
			t.Errorf("%+v", st)
		}
	})
}

// TestReclaimSparesWhatRawRuns has pgx used directly, for longer than a holder
// may be idle: in one statement, and in many. Afterwards the holder idles.
func TestReclaimSparesWhatRawRuns(t *testing.T) {
	inWire(t, reclaiming(orders(1, 0)), func(t *testing.T, p *Pool, _ *wireServer, log *logLines) {
		held := holdAll(t, p, 1)[0]
		defer held.Close()
		err := held.Raw(func(dc any) error {
			c := dc.(interface{ Conn() *pgx.Conn }).Conn()
			for _, sql := range []string{"sleep 5m", "sleep 50s", "sleep 50s"} {
				if _, err := c.Exec(t.Context(), sql); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || log.contains("reclaimed") {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Minute + 2*maxPeriod)
		if !log.contains("reclaimed") {
			t.Error("not reclaimed afterwards")
		}
	})
}

// TestReclaimedButGivenBack is the rarest order of events: a connection is back
// among the idle ones when it is taken away from the holder that it had.
func TestReclaimedButGivenBack(t *testing.T) {
	inWire(t, orders(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		held := holdAll(t, p, 1)[0]
		c := realConn(held)
		held.Close()
		c.RetireFor(connstate.CloseUnclean)
		if _, err := p.ExecContext(t.Context(), "update"); err != nil {
			t.Error(err)
		}
		if st := p.Stats(); st.OpenedCount != 2 || st.Closed.Unclean != 1 {
			t.Errorf("opened %d, closed %+v", st.OpenedCount, st.Closed)
		}
	})
}

// wantInError has err be kind and hold each text once.
func wantInError(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("%v, not %v", err, kind)
	}
	for _, text := range texts {
		if n := strings.Count(err.Error(), text); n != 1 {
			t.Errorf("%q is there %d times: %v", text, n, err)
		}
	}
}
