package main

import (
	"context"
	"flag"
	"syscall"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

var big = flag.Bool("fleet.big", false, "meet the attacks that take longer too, and a fleet of 100 replicas: minutes")

// group is replicas of one kind that come together.
type group struct {
	kind  string
	dsn   string
	n     int
	part  part
	after time.Duration // how long after the first group
}

// siege is an attack of several groups, and what may come of it at most. Refusals and
// failures are counted from the start.
type siege struct {
	name    string
	groups  []group
	during  func(ctx context.Context, all []*replicas) // in the middle of it
	lasts   time.Duration
	refused int
	failed  int
	sockets int  // at once
	hungry  bool // a replica may have served nothing
}

// each is n replicas alike.
func each(dsn string, n int, p part) group { return group{kind: kindFleet, dsn: dsn, n: n, part: p} }

// later is the group, joining in the middle.
func (g group) later(d time.Duration) group { g.after = d; return g }

// run plays a siege.
func (s *scenario) besiege(t *testing.T, a siege) {
	t.Helper()
	began, before := time.Now(), s.tooMany()
	peak := make(chan int)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { peak <- s.watch(ctx, time.Hour) }()
	var all []*replicas
	for _, g := range a.groups {
		rest(t.Context(), g.after-time.Since(began))
		parts := make([]part, g.n)
		for i := range parts {
			parts[i] = g.part
		}
		r, err := assemble(t.Context(), g.kind, g.dsn, parts)
		if err != nil {
			t.Fatal(err)
		}
		defer r.leave()
		r.measure(true)
		all = append(all, r)
	}
	if a.during != nil {
		rest(t.Context(), a.lasts/2-time.Since(began))
		a.during(t.Context(), all)
	}
	rest(t.Context(), a.lasts-time.Since(began))
	cancel()
	s.judge(t, a, all, <-peak, s.tooMany()-before)
}

// judge compares what came of a siege with what may come of it.
func (s *scenario) judge(t *testing.T, a siege, all []*replicas, peak, refused int) {
	t.Helper()
	failed, problem := 0, ""
	for i, r := range all {
		sum, each, _ := r.totals()
		failed += sum.Failed + sum.Full
		if problem == "" {
			problem = sum.Error
		}
		var served []int
		for _, one := range each {
			served = append(served, one.OK)
			if one.OK == 0 && !a.hungry {
				t.Errorf("a replica of group %d served nothing", i+1)
			}
		}
		t.Logf("group %d: served %v, failed %d", i+1, served, sum.Failed+sum.Full)
	}
	t.Logf("%d x 53300, %d failed, at most %d sockets %s", refused, failed, peak, problem)
	if refused > a.refused || failed > a.failed || a.sockets > 0 && peak > a.sockets {
		t.Errorf("allowed: %d x 53300, %d failed, %d sockets", a.refused, a.failed, a.sockets)
	}
}

// The attacks that a fleet of eight met with processes of its own. Most take longer
// than a gate should, and are met with -fleet.big.
func TestFleetUnderSiege(t *testing.T) {
	s, _ := newScenario(t, "6")
	for _, statement := range []string{"create role next login connection limit 6", "create database other owner shop"} {
		if err := execOnce(t.Context(), s.srv.URL, statement); err != nil {
			t.Fatal(err)
		}
	}
	all := s.sieges()
	if *big {
		all = append(all, s.longSieges()...)
	}
	for _, a := range all {
		t.Run(a.name, func(t *testing.T) { s.besiege(t, a) })
	}
}

func (s *scenario) sieges() []siege {
	brief := s.dsn + "&statement_timeout=1"
	return []siege{
		{name: "statement_timeout of 1 ms", groups: []group{each(brief, 4, part{workers: 2, hold: time.Nanosecond}), each(s.dsn, 4, part{workers: 2})},
			lasts: 6 * time.Second, failed: 1 << 20, sockets: 19},
	}
}

func (s *scenario) longSieges() []siege {
	other := s.srv.DSN("other", "shop", "")
	stop := func(_ context.Context, all []*replicas) {
		for _, r := range all[0].live {
			_ = r.cmd.Process.Signal(syscall.SIGSTOP)
		}
		rest(context.Background(), 5*time.Second)
		for _, r := range all[0].live {
			_ = r.cmd.Process.Signal(syscall.SIGCONT)
		}
	}
	four, long := part{workers: 4}, part{workers: 4, hold: 2 * time.Second}
	return []siege{
		{name: "budget 4", groups: []group{each(s.dsn, 8, part{workers: 2, budget: "4"})}, lasts: 20 * time.Second, failed: 40, sockets: 8},
		{name: "budget 2", groups: []group{each(s.dsn, 8, part{workers: 2, budget: "2"})}, lasts: 20 * time.Second, failed: 80, sockets: 8, hungry: true},
		{name: "budget 1", groups: []group{each(s.dsn, 8, part{workers: 2, budget: "1"})}, lasts: 12 * time.Second, failed: 120, sockets: 8, hungry: true},
		{name: "two roles", groups: []group{each(s.dsn, 5, four), each(s.srv.DSN("shop", "next", ""), 3, four)}, lasts: 12 * time.Second, sockets: 19},
		{name: "two databases", groups: []group{each(s.dsn, 4, part{workers: 4, budget: "8"}), each(other, 4, part{workers: 4, budget: "8"})}, lasts: 12 * time.Second, sockets: 19},
		{name: "a neighbour", groups: []group{each(s.dsn, 4, part{workers: 4, budget: "10"}), {kind: kindSQL, dsn: other, n: 1, part: part{workers: 6}}}, lasts: 12 * time.Second, sockets: 19},
		{name: "stopped processes", groups: []group{each(s.dsn, 4, four), each(s.dsn, 4, four)}, during: stop, lasts: 20 * time.Second, failed: 20, sockets: 19},
		{name: "crowd with 2 s statements", groups: []group{each(s.dsn, 4, long), each(s.dsn, 8, part{workers: 2, hold: 2 * time.Second}).later(6 * time.Second)}, lasts: 20 * time.Second,
			refused: 80, failed: 1 << 20}, // the load is more than the server can do in DB_POOL_TIMEOUT, so most are told so at once
		{name: "statement_timeout of 20 ms", groups: []group{each(s.dsn+"&statement_timeout=20", 4, four), each(s.dsn, 4, four)}, lasts: 10 * time.Second, failed: 20, sockets: 19},
		{name: "restart", groups: []group{each(s.dsn, 8, four)}, during: func(ctx context.Context, _ []*replicas) { _ = s.restart(ctx) }, lasts: 16 * time.Second, failed: 40},
	}
}

// A fleet by several addresses of one server is one fleet.
func TestFleetBySeveralAddresses(t *testing.T) {
	s, _ := newScenarioOn(t, "4", pgtest.Options{Everywhere: true})
	var groups []group
	for _, dsn := range s.srv.Addresses("shop", "shop") {
		groups = append(groups, each(dsn, 2, part{workers: 3}))
	}
	s.besiege(t, siege{name: "addresses", groups: groups, lasts: 6 * time.Second})
}
