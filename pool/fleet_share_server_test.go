package pool

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

func appAt(srv *pgtest.Server) string { return srv.DSN("postgres", "app", "") }

func TestTwoReplicasShareEvenly(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	fleet := deploy(t, 2, inFleet(appAt(srv), "orders"))
	for _, r := range fleet {
		r.work(12, 20*time.Millisecond, 0)
	}
	reach(t, "both busy", fleet, 7, usableSlots-2)
	time.Sleep(2 * time.Second)
	reach(t, "still", fleet, 7, usableSlots-2)
	wantNoFailures(t, fleet)
	wantNeverFull(t, srv)
}

func TestEightReplicasShareAndLoseBackends(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	fleet := deploy(t, 8, inFleet(appAt(srv), "orders"))
	for _, r := range fleet {
		r.work(12, 20*time.Millisecond, 0)
	}
	reach(t, "start", fleet, 1, usableSlots-2)
	time.Sleep(3 * time.Second)
	wantNoFailures(t, fleet)
	for range 5 {
		srv.Exec(t, "select pg_terminate_backend(pid) from (select pid from pg_stat_activity where usename = 'app' order by random() limit 6) as victims")
		time.Sleep(300 * time.Millisecond)
	}
	for _, r := range fleet {
		r.failures() // a statement whose backend was terminated fails
	}
	reach(t, "after kills", fleet, 1, usableSlots-2)
	time.Sleep(2 * time.Second)
	wantNoFailures(t, fleet)
	wantNeverFull(t, srv)
	t.Log(served(fleet))
}

func served(fleet []*replica) []int {
	n := make([]int, len(fleet))
	for i, r := range fleet {
		n[i] = int(r.served.Swap(0))
	}
	return n
}

// What an idle replica does not need is used by a busy one, and comes back
// when it does need it.
func TestUnevenDemandIsServedAndComesBack(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	fleet := deploy(t, 4, inFleet(appAt(srv), "orders"))
	for _, r := range fleet[1:] {
		r.work(1, time.Millisecond, 200*time.Millisecond)
	}
	fleet[0].work(12, 20*time.Millisecond, 0)
	reach(t, "one busy", fleet[:1], 10, 10)
	for _, r := range fleet[1:] {
		r.rest()
		r.work(12, 20*time.Millisecond, 0)
	}
	reach(t, "all busy", fleet, 3, usableSlots-2)
	for _, r := range fleet[1:] {
		r.rest()
	}
	reach(t, "one busy again", fleet[:1], 10, 10)
	wantNoFailures(t, fleet)
	wantNeverFull(t, srv)
}

func TestFleetComesBackAfterARestart(t *testing.T) {
	t.Parallel()
	srv := smallServer(t, "log_connections", "on", "log_line_prefix", "%n ")
	fleet := deploy(t, 8, inFleet(appAt(srv), "orders"))
	for _, r := range fleet {
		r.work(12, 20*time.Millisecond, 0)
	}
	reach(t, "start", fleet, 1, usableSlots-2)
	time.Sleep(3 * time.Second)
	wantNeverFull(t, srv)
	srv.Restart(t)
	reach(t, "restart", fleet, 1, usableSlots-2)
	for _, r := range fleet {
		r.failures() // of the restart itself
	}
	during := tooMany(srv)
	// A replica dials once without a token; everything beyond that is within the budget.
	if n := mostDials(srv, 100*time.Millisecond); n > len(fleet)+usableSlots {
		t.Errorf("%d connections were asked for within 100 ms by %d replicas", n, len(fleet))
	}
	time.Sleep(3 * time.Second)
	wantNoFailures(t, fleet)
	if n := tooMany(srv) - during; n > 0 {
		t.Errorf("the server answered 53300 %d times after the fleet was back", n)
	}
	t.Logf("at most %d dials within 100 ms; 53300 in the course of the restart: %d", mostDials(srv, 100*time.Millisecond), during)
}

// mostDials is the most connections that the server was asked for in a row
// within a window. Its log lines begin with the time in seconds.
func mostDials(srv *pgtest.Server, window time.Duration) (most int) {
	var asked []float64
	for line := range strings.Lines(srv.Log()) {
		if at, text, _ := strings.Cut(line, " "); strings.Contains(text, "connection received") {
			if seconds, err := strconv.ParseFloat(at, 64); err == nil {
				asked = append(asked, seconds)
			}
		}
	}
	first := 0
	for i := range asked {
		for asked[i]-asked[first] > window.Seconds() {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// Close gives the tokens back when it returns, not some time later.
func TestCloseGivesTokensBack(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	fleet := deploy(t, 3, inFleet(appAt(srv), "orders"))
	for _, r := range fleet {
		r.work(12, 20*time.Millisecond, 0)
	}
	reach(t, "start", fleet, 4, usableSlots-2)
	for _, r := range fleet[1:] {
		r.rest()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	// The first integer of a member's lock begins with 0xDB2, and the second is the replica.
	members, err := srv.QueryInt(t.Context(), "select count(distinct objid) from pg_locks where locktype = 'advisory' and classid::int8 >> 20 = $1", 0xDB2)
	if err != nil || members != 1 {
		t.Errorf("%d members are left, want the one that is open (%v)", members, err)
	}
	reach(t, "alone", fleet[:1], 10, 10)
	wantNoFailures(t, fleet)
	wantNeverFull(t, srv)
}

func TestResizeInAFleet(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	fleet := deploy(t, 2, inFleet(appAt(srv), "orders"))
	for _, r := range fleet {
		r.work(20, 20*time.Millisecond, 0)
	}
	reach(t, "start", fleet, 7, usableSlots-2)
	if err := fleet[0].Resize(2, 0); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "shrinks", func() bool { return fleet[0].Stats().Open() <= 2 })
	reach(t, "the other has the rest", fleet[1:], 10, 10)
	if err := fleet[0].Resize(5, 5); err != nil {
		t.Fatal(err)
	}
	reach(t, "even again", fleet, 7, usableSlots-2)
	if err := fleet[1].Resize(20, 10); err != nil {
		t.Fatal(err)
	}
	fleet[0].rest()
	reach(t, "one has it all", fleet[1:], usableSlots-3, usableSlots-3)
	wantNoFailures(t, fleet)
	wantNeverFull(t, srv)
}

// A replica replaces old connections one by one, as a pool without a fleet
// does, and stays filled while nobody else needs the tokens.
func TestRecyclingInAFleet(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	cfg := inFleet(appAt(srv), "orders")
	cfg.PoolRecycle = 4 * time.Second
	fleet := deploy(t, 1, cfg)
	fleet[0].work(5, 20*time.Millisecond, 0)
	reach(t, "start", fleet, 5, 5)
	fleet[0].rest()
	until(t, 40*time.Second, "two generations replaced, and the pool filled", func() bool {
		s := fleet[0].Stats()
		return s.Closed.Recycled >= 10 && s.Open() >= 5
	})
	wantNeverFull(t, srv)
}
