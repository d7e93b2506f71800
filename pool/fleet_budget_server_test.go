package pool

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// DB_FLEET=warn bounds nobody. It says once whether the fleet fits, and again
// when that has changed.
func TestWarnSaysOncePerChange(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	cfg := inFleet(appAt(srv), "orders")
	cfg.Fleet, cfg.FleetSurge = config.FleetWarn, 0
	look := func(r *replica) FleetStats {
		t.Helper()
		if err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, 20*time.Second, "the look that a new pool begins with", func() bool { return !r.Stats().Fleet.At.IsZero() })
		return r.Stats().Fleet
	}
	first := deploy(t, 1, cfg)[0]
	if s := look(first); !s.Fits || s.Replicas != 1 || s.Need != 10 || s.Usable != usableSlots {
		t.Errorf("%+v", s)
	}
	second := deploy(t, 1, cfg)[0]
	if s := look(second); s.Fits || s.Replicas != 2 || s.Need != 20 {
		t.Errorf("%+v", s)
	}
	for range 3 {
		first.fleetCheck.round(t.Context())
	}
	lines := first.log.with(t, "the fleet does not fit the server")
	if len(lines) != 1 {
		t.Fatalf("said %d times: %v", len(lines), lines)
	}
	said := fmt.Sprint(lines[0]["arithmetic"], lines[0]["remedies"])
	for _, want := range []string{
		"server: max_connections 20 - superuser_reserved_connections 3 - 1 session of others = 16",
		"fleet: (2 replicas + 0 surge) x (5 pool size + 5 overflow) = 20", "does not fit: 20 > 16",
		"DB_FLEET=enforce", "DB_POOL_SIZE=4 DB_MAX_OVERFLOW=4", "ALTER SYSTEM SET max_connections = 24",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in %s", want, said)
		}
	}
	if got := first.Stats(); got.Limit != 10 || got.Fleet.Share != 0 || got.Fleet.Mode != config.FleetWarn {
		t.Errorf("the pool is bounded: limit %d, %+v", got.Limit, got.Fleet)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // one that has just left is counted for one look more
		first.fleetCheck.round(t.Context())
	}
	if fits := first.log.with(t, "the fleet fits the server"); len(fits) != 2 || !first.Stats().Fleet.Fits {
		t.Errorf("%d lines say that it fits; want one from the beginning and one from the end", len(fits))
	}
}

// The role's own limit is the server's last word, and part of the arithmetic.
func TestFleetKeepsToTheRolesLimit(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	srv.Exec(t, "alter role app connection limit 6")
	fleet := deploy(t, 2, inFleet(appAt(srv), "orders"))
	for _, r := range fleet {
		r.work(12, 20*time.Millisecond, 0)
	}
	reach(t, "start", fleet, 2, 5)
	time.Sleep(2 * time.Second)
	if s := fleet[0].Stats().Fleet; s.Usable != 6 || !strings.Contains(fmt.Sprint(s.Arithmetic), "role app: CONNECTION LIMIT 6") {
		t.Errorf("%+v", s)
	}
	srv.Exec(t, "alter role app connection limit 12")
	reach(t, "raised", fleet, 4, 10)
	wantNoFailures(t, fleet)
	wantNeverFull(t, srv)
}

// Two services on one server, each with a part of its own, in plain numbers or
// in percent: neither gets beyond it, however idle the other is.
func TestTwoServicesEachHaveTheirBudget(t *testing.T) {
	t.Parallel()
	for name, budgets := range map[string]map[string]config.Share{
		"absolute": {"orders": "10", "billing": "6"},
		"percent":  {"orders": "60%", "billing": "40%"}, // of 17
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := smallServer(t)
			seen := sample(t, srv, "orders", "billing")
			parts := map[string]int{"orders": 10, "billing": 6}
			var all []*replica
			for _, service := range []string{"orders", "billing"} {
				cfg := inFleet(appAt(srv), service)
				cfg.FleetBudget = budgets[service]
				fleet := deploy(t, 2, cfg)
				for _, r := range fleet {
					r.work(12, 20*time.Millisecond, 0)
				}
				// The last of a service's part is its headroom.
				reach(t, service, fleet, parts[service]/2-1, parts[service]-1)
				all = append(all, fleet...)
			}
			time.Sleep(2 * time.Second)
			for service, part := range parts {
				if peak := seen.peak(service); peak > part || peak < part-1 {
					t.Errorf("%s had %d sessions at once; its part is %d", service, peak, part)
				}
			}
			wantNoFailures(t, all)
			wantNeverFull(t, srv)
		})
	}
}

// Budgets that add up to more than there is are found out by either service.
func TestBudgetsThatAddUpToTooMuchAreTold(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	var all []*replica
	for _, service := range []string{"orders", "billing"} {
		cfg := inFleet(appAt(srv), service)
		cfg.FleetBudget = "10"
		all = append(all, deploy(t, 1, cfg)...)
	}
	for _, r := range all {
		r.work(2, 10*time.Millisecond, 0)
	}
	until(t, 40*time.Second, "both say it", func() bool {
		for _, r := range all {
			r.fleetCheck.round(t.Context())
			if !strings.Contains(fmt.Sprint(r.Stats().Fleet.Arithmetic), "budgets: with 10 claimed by other services that is more than the 17 there are") {
				return false
			}
		}
		return true
	})
	if all[0].Stats().Fleet.Fits {
		t.Error("it does not fit")
	}
}

// Up to the last slot everybody has a session. Beyond, replicas take turns.
func TestMoreReplicasThanTokensTakeTurns(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	cfg := inFleet(appAt(srv), "orders")
	cfg.PoolTimeout = 15 * time.Second
	fleet := deploy(t, 18, cfg)
	for _, r := range fleet {
		r.work(2, 20*time.Millisecond, 0)
	}
	time.Sleep(8 * time.Second)
	var longest time.Duration
	for _, r := range fleet {
		longest = max(longest, time.Duration(r.longest.Load()))
	}
	work := served(fleet)
	t.Logf("served %v, longest wait %v, refused %d", work, longest, tooMany(srv))
	if slices.Min(work) == 0 {
		t.Error("a replica starved")
	}
	wantNoFailures(t, fleet)
}

// Those who cannot get in although others make room are told in plain words.
func TestFleetThatIsTooLargeIsToldSo(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	cfg := inFleet(appAt(srv), "orders")
	cfg.FleetBudget = "2"
	cfg.PoolTimeout = 300 * time.Millisecond
	fleet := deploy(t, 8, cfg)
	for _, r := range fleet {
		r.work(1, 20*time.Millisecond, 0)
	}
	var told error
	until(t, 20*time.Second, "a caller is told", func() bool {
		for _, r := range fleet {
			for _, err := range r.failures() {
				var e *AcquireError
				if errors.As(err, &e) && strings.Contains(err.Error(), "do not fit into 2 connections: run fewer, or raise max_connections or DB_FLEET_BUDGET") {
					told = err
				}
			}
		}
		return told != nil
	})
	if !errors.Is(told, ErrServerFull) {
		t.Errorf("%v", told)
	}
	t.Log(told)
	wantNeverFull(t, srv)
}

// Behind a pooler locks say nothing. Each replica keeps to its part by number,
// and says so.
func TestBehindPgBouncerTheBudgetIsDivided(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, pgtest.Options{})
	bouncer := pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{Settings: map[string]string{"default_pool_size": "5"}})
	cfg := inFleet(bouncer.URL, "orders")
	cfg.FleetBudget, cfg.FleetReplicas, cfg.FleetSurge = "16", 3, 1
	fleet := deploy(t, 3, cfg)
	for _, r := range fleet {
		r.work(12, 20*time.Millisecond, 0)
	}
	reach(t, "start", fleet, 4, 12)
	time.Sleep(2 * time.Second)
	for _, r := range fleet {
		s := r.Stats()
		if s.Open() > 4 || s.Limit != 4 || s.Fleet.Share != 4 || !strings.Contains(s.Fleet.Fallback, "pooler") {
			t.Errorf("%d open, limit %d, %+v", s.Open(), s.Limit, s.Fleet)
		}
		lines := r.log.with(t, "fleet: the budget cannot be shared through advisory locks; each replica keeps to a fixed share")
		if len(lines) != 1 || lines[0]["share"] != 4.0 || lines[0]["arithmetic"] != "DB_FLEET_BUDGET 16 / (DB_FLEET_REPLICAS 3 + DB_FLEET_SURGE 1)" {
			t.Errorf("%v", lines)
		}
		until(t, 20*time.Second, "the proof in the pooler's terms", func() bool { return !r.Stats().Fleet.At.IsZero() })
		if f := r.Stats().Fleet; !f.Fits || f.Usable != 16 || f.Need != 4 {
			t.Errorf("%+v", f)
		}
	}
	if n, err := srv.QueryInt(t.Context(), "select count(*) from pg_locks where locktype = 'advisory'"); n != 0 || err != nil {
		t.Errorf("%d advisory locks are left on the pooler's sessions (%v)", n, err)
	}
	wantNoFailures(t, fleet)
}

// With DB_FLEET=warn a fleet behind a pooler is not compared with the server's slots.
func TestBehindPgBouncerWarnCountsThePoolersClients(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_connections": "20"}})
	bouncer := pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{Settings: map[string]string{"default_pool_size": "5"}})
	cfg := inFleet(bouncer.URL, "orders")
	cfg.Fleet, cfg.FleetReplicas = config.FleetWarn, 9 // 100 clients on 5 sessions: what a pooler is for
	unknown := deploy(t, 1, cfg)[0]
	cfg.FleetBudget = "100"
	known := deploy(t, 1, cfg)[0]
	for _, r := range []*replica{unknown, known} {
		if err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.fleetCheck.round(t.Context())
		r.fleetCheck.round(t.Context())
	}
	if f := unknown.Stats().Fleet; !f.At.IsZero() || len(unknown.log.with(t, "whether the fleet fits is not known: a pooler stands before the server")) != 1 {
		t.Errorf("%+v", f)
	}
	if f := known.Stats().Fleet; !f.Fits || f.Need != 100 || f.Usable != 100 {
		t.Errorf("%+v", f)
	}
}
