package pool

import (
	"database/sql"
	"fmt"
	"testing"
	"time"
)

// withoutToken is how many of the role's sessions hold no token of any fleet in
// the usual range: the first integer of a token's lock begins with 0xDB1.
const withoutToken = `select count(*) from pg_stat_activity a where usename = 'app'
 and not exists (select from pg_locks l where l.pid = a.pid and locktype = 'advisory' and classid::int8 >> 20 = x'DB1'::int)`

// An application that drops all locks of a session costs that session, not a request.
func TestFleetSurvivesThatLocksAreDropped(t *testing.T) {
	t.Parallel()
	for _, statement := range []string{"select pg_advisory_unlock_all()", "discard all"} {
		t.Run(statement, func(t *testing.T) {
			t.Parallel()
			srv := smallServer(t)
			fleet := deploy(t, 2, inFleet(appAt(srv), "orders"))
			for _, r := range fleet {
				r.work(12, 20*time.Millisecond, 0)
			}
			reach(t, "start", fleet, 7, usableSlots-2)
			for range 10 {
				if _, err := fleet[0].ExecContext(t.Context(), statement); err != nil {
					t.Error(err)
				}
				time.Sleep(200 * time.Millisecond)
			}
			until(t, 20*time.Second, "all sessions have a token again, and none is lost", func() bool {
				n, err := srv.QueryInt(t.Context(), withoutToken)
				return err == nil && n == 0 && total(sessions(fleet)) >= usableSlots-2
			})
			wantNoFailures(t, fleet)
			if len(fleet[0].log.with(t, "fleet: sessions have lost their place in the budget and will be closed")) == 0 {
				t.Error("nobody was told")
			}
		})
	}
}

// The application's own advisory locks and the fleet's do not see each other,
// even where all 64 bits are the same.
func TestApplicationsAdvisoryLocksAreItsOwn(t *testing.T) {
	t.Parallel()
	srv := smallServer(t, "max_prepared_transactions", "5")
	fleet := deploy(t, 2, inFleet(appAt(srv), "orders"))
	for _, r := range fleet {
		r.work(4, 20*time.Millisecond, 0)
	}
	reach(t, "start", fleet, 4, 8)
	keys, err := srv.QueryInt(t.Context(), "select count(distinct (classid, objid)) from pg_locks where locktype = 'advisory' and classid::int8 >> 20 = x'DB1'::int")
	if err != nil || keys < 8 {
		t.Fatalf("%d tokens are held (%v)", keys, err)
	}
	c, err := fleet[0].Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, missed := lockAllAsOne(t, c, keys)
	if got != keys || missed != 0 {
		t.Errorf("of %d keys that the fleet uses as two integers, %d could be locked as one, %d not", keys, got, missed)
	}
	for _, statement := range []string{
		"begin", "select pg_advisory_xact_lock(7, 7)", "select txid_current()", "prepare transaction 'one'",
		"commit prepared 'one'", "select pg_advisory_lock(7, 7)", "select pg_advisory_unlock(7, 7)",
	} {
		if _, err := c.ExecContext(t.Context(), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for _, r := range fleet {
		r.rest()
		r.work(12, 20*time.Millisecond, 0)
	}
	reach(t, "more demand", fleet, 7, usableSlots-2)
	wantNoFailures(t, fleet)
	wantNeverFull(t, srv)
}

// lockAllAsOne tries to lock every token's key in the form of one integer, as
// one that an application made up by chance.
func lockAllAsOne(t *testing.T, c *sql.Conn, most int) (got, missed int) {
	t.Helper()
	err := c.QueryRowContext(t.Context(), `with tokens as materialized (select distinct classid::int8 as class, objid::int8 as key from pg_locks
 where locktype = 'advisory' and objsubid = 2 and classid::int8 >> 20 = x'DB1'::int limit $1),
 locked as materialized (select pg_try_advisory_lock(class << 32 | key) as ok from tokens)
select count(*) filter (where ok), count(*) filter (where not ok) from locked`, most).Scan(&got, &missed)
	if err != nil {
		t.Fatal(err)
	}
	return got, missed
}

// Services move their locks out of each other's way, or an application's.
func TestFleetsKeysCanBeMoved(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	cfg := inFleet(appAt(srv), "orders")
	cfg.FleetKeySpace = 0x5A
	p := open(t, cfg)
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "all locks are in the other range", func() bool {
		moved, err := srv.QueryInt(t.Context(), "select count(*) from pg_locks where locktype = 'advisory' and classid::int8 >> 24 = x'5A'::int")
		all, err2 := srv.QueryInt(t.Context(), "select count(*) from pg_locks where locktype = 'advisory'")
		return err == nil && err2 == nil && moved == all && all > 1
	})
}

// Services that never said their name share one budget; each is told.
func TestDefaultNameIsTold(t *testing.T) {
	for name, want := range map[string]int{"db": 1, "orders": 0} {
		r := deploy(t, 1, inFleet("postgres://app@127.0.0.1:1/none", name))[0]
		lines := r.log.with(t, "every service that uses this database under the same pool name shares one budget")
		if len(lines) != want {
			t.Errorf("%s: said %d times", name, len(lines))
		}
		for _, line := range lines {
			if line["level"] != "WARN" || fmt.Sprint(line["remedy"]) == "" {
				t.Errorf("%v", line)
			}
		}
	}
}
