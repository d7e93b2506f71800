package pool

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// A server has several addresses and is one all the same: replicas that reach it by
// IPv4, IPv6, a name and a Unix socket share one budget.
func TestFleetAcrossAddresses(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, pgtest.Options{Everywhere: true, Settings: map[string]string{"max_connections": "20"}})
	srv.Exec(t, "create role app login")
	seen := sample(t, srv, "orders")
	var fleet []*replica
	for _, dsn := range srv.Addresses("postgres", "app") {
		cfg := inFleet(dsn, "orders")
		cfg.FleetBudget = "12"
		fleet = append(fleet, deploy(t, 1, cfg)...)
	}
	for _, r := range fleet {
		r.work(12, 20*time.Millisecond, 0)
	}
	reach(t, "start", fleet, 2, 11)
	time.Sleep(2 * time.Second)
	for i, r := range fleet {
		if s := r.Stats().Fleet; s.Replicas != len(fleet) || s.Usable != 12 || s.Fallback != "" {
			t.Errorf("replica %d: %+v", i, s)
		}
	}
	if n := seen.peak("orders"); n > 12+1 { // one may be ending while the next begins
		t.Errorf("%d sessions at once, the budget is 12", n)
	}
	wantNoFailures(t, fleet)
	wantNeverFull(t, srv)
}

// The address by which a replica reaches the server fails, and another one leads to the
// same server: nothing has moved, so no token is void and nobody falls back.
func TestFleetChangesItsAddress(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	one, other := srv.Proxy(t), srv.Proxy(t)
	u, err := url.Parse(one.URL(srv.DSN("postgres", "app", "")))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = strings.Join([]string{one.Addr, other.Addr}, ",")
	cfg := inFleet(u.String(), "orders")
	cfg.FleetBudget, cfg.PoolTimeout = "12", 30*time.Second
	seen := sample(t, srv, "orders")
	fleet := deploy(t, 2, cfg)
	straight := inFleet(srv.DSN("postgres", "app", ""), "orders")
	straight.FleetBudget = "12"
	fleet = append(fleet, deploy(t, 1, straight)...)
	for _, r := range fleet {
		r.work(12, 20*time.Millisecond, 0)
	}
	reach(t, "start", fleet, 3, 11)
	for _, p := range []*pgtest.Proxy{one, other} { // there and back
		p.Refuse(true)
		p.Cut()
		time.Sleep(500 * time.Millisecond)
		reach(t, "the address "+p.Addr+" failed", fleet, 3, 11)
		time.Sleep(time.Second)
		p.Refuse(false)
	}
	for i, r := range fleet {
		if s := r.Stats().Fleet; s.Replicas != len(fleet) || s.Usable != 12 || s.Fallback != "" {
			t.Errorf("replica %d: %+v", i, s)
		}
	}
	if n := seen.peak("orders"); n > 12+len(fleet) { // those that lost all their sessions come back without a token
		t.Errorf("%d sessions at once, the budget is 12", n)
	}
	wantNeverFull(t, srv)
}
