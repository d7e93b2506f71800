package pool

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// A hot standby has locks of its own: a fleet there shares a budget of its own,
// beside the one of the fleet at the primary. When it is promoted its sessions
// stay, and so do the tokens that they live by.
func TestFleetOnAStandby(t *testing.T) {
	t.Parallel()
	onServers(t, map[string]string{"max_connections": "20"}, func(t *testing.T, primary *pgtest.Server) {
		const budget, clients = 8, 12
		primary.Exec(t, "create role app login")
		standby := primary.Standby(t, nil)
		var all []*replica
		seen := map[*pgtest.Server]*sampler{}
		for _, srv := range []*pgtest.Server{primary, standby} {
			seen[srv] = sample(t, srv, "orders")
			cfg := inFleet(appAt(srv), "orders")
			cfg.FleetBudget = "8"
			fleet := deploy(t, 2, cfg)
			for _, r := range fleet {
				r.work(clients, 20*time.Millisecond, 0)
			}
			reach(t, "start", fleet, budget/2-1, budget-1)
			if s := fleet[0].Stats().Fleet; s.Replicas != 2 || s.Usable != budget || s.Fallback != "" {
				t.Errorf("%+v", s)
			}
			all = append(all, fleet...)
		}
		before := tokens(t, standby)
		standby.Promote(t)
		time.Sleep(2 * time.Second) // looks of a second each
		reach(t, "promoted", all[2:], budget/2-1, budget-1)
		if now := tokens(t, standby); before < budget-1 || now < budget-1 {
			t.Errorf("%d tokens were held before the promotion, %d after it", before, now)
		}
		wantNoFailures(t, all)
		for srv, s := range seen {
			wantNeverFull(t, srv)
			if n := s.peak("orders"); n > budget || n < budget-1 {
				t.Errorf("port %d: %d sessions at once, the budget is %d", srv.Port, n, budget)
			}
		}
		for _, r := range all[2:] {
			if s := r.Stats(); s.Closed.Broken+s.Closed.Unclean != 0 {
				t.Errorf("the promotion cost sessions: %+v", s.Closed)
			}
		}
	})
}

// tokens counts those that are held at a server.
func tokens(t *testing.T, srv *pgtest.Server) int {
	t.Helper()
	n, err := srv.QueryInt(t.Context(), "select count(distinct objid) from pg_locks where locktype = 'advisory' and classid::int8 >> 20 = x'DB1'::int")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The fleet moves with the primary, all replicas at once, into the same budget.
func TestFleetFailsOver(t *testing.T) {
	t.Parallel()
	onServers(t, map[string]string{"max_connections": "20"}, func(t *testing.T, primary *pgtest.Server) {
		const replicas, budget = 4, 12
		primary.Exec(t, "create role app login")
		standby := primary.Standby(t, nil)
		cfg := inFleet(strings.Replace(hostsOf("read-write", primary, standby), pgtest.Superuser+"@", "app@", 1), "orders")
		cfg.ApplicationName, cfg.FleetBudget, cfg.PoolTimeout = "orders", "12", 30*time.Second
		fleet := deploy(t, replicas, cfg)
		for _, r := range fleet {
			r.work(12, 20*time.Millisecond, 0)
		}
		reach(t, "start", fleet, budget/replicas-1, budget-1)
		seen := sample(t, standby, "orders")
		primary.Kill(t)
		time.Sleep(time.Second)
		standby.Promote(t)
		reach(t, "promoted", fleet, budget/replicas-1, budget-1)
		broken := 0
		for _, r := range fleet {
			errs := r.failures()
			broken += len(errs)
			for _, err := range errs {
				if pgdriver.SQLState(err) == pgdriver.StateTooManyConnections {
					t.Error(err)
				}
			}
		}
		t.Logf("%d statements were being executed", broken)
		if broken > budget {
			t.Errorf("%d requests failed, want at most one for each of %d sessions", broken, budget)
		}
		time.Sleep(2 * time.Second)
		wantNoFailures(t, fleet)
		wantNeverFull(t, standby)
		if n := seen.peak("orders"); n > budget+replicas {
			t.Errorf("%d sessions at once, the budget is %d", n, budget)
		}
		if s := fleet[0].Stats().Fleet; s.Fallback != "" || s.Replicas != replicas || s.Usable != budget {
			t.Errorf("%+v", s)
		}
	})
}

// DB_FLEET=warn proves there too, with the standby's own numbers.
func TestFleetProofOnAStandby(t *testing.T) {
	primary := smallServer(t)
	standby := primary.Standby(t, map[string]string{"max_connections": "30"})
	cfg := inFleet(appAt(standby), "orders")
	cfg.Fleet = config.FleetWarn
	r := deploy(t, 1, cfg)[0]
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "the proof", func() bool { return !r.Stats().Fleet.At.IsZero() })
	if s := r.Stats().Fleet; !strings.Contains(strings.Join(s.Arithmetic, " "), "max_connections 30") || s.Replicas != 1 || !s.Fits {
		t.Errorf("%+v", s)
	}
}
