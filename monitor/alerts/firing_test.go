package alerts

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/prometheus/prometheus/rules"
)

const scrapeInterval = 15 * time.Second

// healthy is a service at work: half of the pool in use, waits of a
// millisecond, each connection replaced every five minutes.
func healthy() *service {
	return newService(
		pool.Stats{
			Name: "orders", PoolSize: 5, MaxOverflow: 5, Limit: 10, InUse: 5, Idle: 2,
			Server:           pool.ServerState{OK: true, Since: time.Unix(1, 0)},
			StatementTimeout: pool.StatementTimeout{Want: 30 * time.Second, InForce: true, How: "startup parameter"},
			Fleet: pool.FleetStats{
				Mode: config.FleetEnforce, At: time.Unix(1, 0), Replicas: 4, Usable: 60, Need: 5, Fits: true, Share: 10, Tokens: 7, Headroom: 2,
			},
		},
		serverview.View{Usable: 97, Free: 60, UsagePercent: 38, Sessions: 37},
	)
}

// work is what a healthy service does in one scrape interval.
func work(s *pool.Stats, interval int) {
	s.AcquireCount += 15_000
	s.WaitCount += 700
	s.WaitDuration += 700 * time.Millisecond
	waits(s, time.Millisecond, 15_000)
	if interval%2 == 0 { // 10 connections in 5 minutes
		s.OpenedCount++
		s.Closed.Recycled++
	}
}

// waits records n acquisitions that took d.
func waits(s *pool.Stats, d time.Duration, n uint64) {
	i, _ := slices.BinarySearch(pool.HistogramBounds(), d)
	s.Wait.Counts[i] += n
	s.Wait.Count += n
	s.Wait.Sum += d * time.Duration(n)
}

// run scrapes a healthy service for ten minutes, then a troubled one for
// fifteen, and then the healthy one again until every alert has had time to
// resolve. It returns the alerts that fired in each of the three.
func run(t *testing.T, trouble func(s *service, interval int)) (before, during, after []string, fired []*rules.Alert) {
	t.Helper()
	prom, svc, at := newServer(t), healthy(), time.Unix(1_700_000_000, 0)
	phase := func(d time.Duration, trouble func(*service, int)) []string {
		names := map[string]bool{}
		for i := range int(d / scrapeInterval) {
			work(&svc.stats, i)
			if trouble != nil {
				trouble(svc, i)
			}
			if svc.stats.Fleet.At.Equal(time.Unix(1, 0)) {
				svc.stats.Fleet.At = at // looked at in this interval
			}
			prom.scrape(t, svc, at)
			if svc.stats.Fleet.At.Equal(at) {
				svc.stats.Fleet.At = time.Unix(1, 0)
			}
			at = at.Add(scrapeInterval)
			for name, alert := range prom.firing() {
				names[name] = true
				fired = append(fired, alert)
			}
		}
		return slices.Sorted(maps.Keys(names))
	}
	before = phase(10*time.Minute, nil)
	during = phase(15*time.Minute, trouble)
	// Gauges go back to normal; counters keep what they have.
	calm := healthy()
	recover := func(s *service, _ int) {
		was := s.stats
		s.stats, s.view, s.gone = calm.stats, calm.view, false
		s.stats.Tasks.FailedCount = was.Tasks.FailedCount
		s.stats.AcquireCount, s.stats.TimeoutCount, s.stats.ShedCount = was.AcquireCount, was.TimeoutCount, was.ShedCount
		s.stats.NestedCount, s.stats.OpenedCount, s.stats.Closed = was.NestedCount, was.OpenedCount, was.Closed
		s.stats.WaitCount, s.stats.WaitDuration, s.stats.Wait = was.WaitCount, was.WaitDuration, was.Wait
	}
	phase(15*time.Minute+scrapeInterval, recover) // the longest window of a rule
	after = phase(time.Minute, nil)
	return before, during, after, fired
}

func TestAlerts(t *testing.T) {
	covered := map[string]bool{}
	for _, tc := range []struct {
		name    string
		trouble func(s *service, interval int)
		want    []string
	}{
		{"nothing is wrong", func(*service, int) {}, nil},
		{"a busy pool that keeps up", func(s *service, _ int) { s.stats.InUse, s.stats.Waiting = 7, 1 }, nil},
		{"nearly all in use", func(s *service, _ int) { s.stats.InUse = 8 }, []string{"DBPoolUsageHigh"}},
		{"all in use for a moment", func(s *service, i int) { s.stats.InUse = 5 + 5*(i/4%2) }, nil},
		{"long waits", func(s *service, _ int) { waits(&s.stats, 200*time.Millisecond, 1_000) }, []string{"DBPoolWaiting"}},
		{"waits of no consequence", func(s *service, _ int) { waits(&s.stats, 50*time.Millisecond, 10_000) }, nil},
		{"a few long waits", func(s *service, _ int) { waits(&s.stats, 200*time.Millisecond, 100) }, nil},
		{"one timeout", func(s *service, i int) { s.stats.TimeoutCount += uint64(1 / (i + 1)) }, []string{"DBPoolTimeouts"}},
		{"shedding", func(s *service, _ int) { s.stats.ShedCount += 1_000 }, []string{"DBPoolShedding"}},
		{"a few shed", func(s *service, _ int) { s.stats.ShedCount += 10 }, nil},
		{"a leak", func(s *service, _ int) { s.stats.Leaking, s.stats.LeakWarningCount = 1, 1 }, []string{"DBPoolLeak"}},
		{"nesting", func(s *service, i int) { s.stats.NestedCount += uint64(1 / (i + 1)) }, []string{"DBPoolNested"}},
		{"recycling storm", func(s *service, _ int) { s.stats.OpenedCount += 10; s.stats.Closed.Surplus += 10 }, []string{"DBPoolRecyclingStorm"}},
		{"a burst of new connections", func(s *service, i int) { s.stats.OpenedCount += uint64(10 / (i + 1)) }, nil},
		{"the server nearly full", func(s *service, _ int) { s.view.Free, s.view.UsagePercent = 4, 96 }, []string{"DBPoolServerNearlyFull"}},
		{"the server full", refused("role limit"), []string{"DBPoolServerFull"}},
		{"full, by turns for two reasons", func(s *service, i int) { refused([]string{"server full", "reserved slots"}[i%2])(s, i) }, []string{"DBPoolServerFull"}},
		{"the server gone", refused("unreachable"), []string{"DBPoolServerUnavailable"}},
		{"refused with a new word", refused("out of coffee"), []string{"DBPoolServerUnavailable"}},
		{"quarantine", func(s *service, _ int) { s.stats.Closing, s.stats.Quarantined = 2, 2 }, []string{"DBPoolQuarantine"}},
		{"no statement timeout", func(s *service, _ int) { s.stats.StatementTimeout.InForce = false }, []string{"DBPoolStatementTimeoutNotInForce"}},
		{"too many replicas", func(s *service, _ int) { s.stats.Fleet.Need, s.stats.Fleet.Fits = 61, false }, []string{"DBPoolFleetDoesNotFit"}},
		{"too many for a moment", func(s *service, i int) { s.stats.Fleet.Fits = i%3 > 0 }, nil},
		{"a budget that cannot be shared", func(s *service, _ int) { s.stats.Fleet.Fallback = "a pooler" }, []string{"DBPoolFleetFallback"}},
		{"a fleet that nobody can look at", func(s *service, _ int) { s.stats.Fleet.At = time.Unix(1_700_000_000, 0) }, []string{"DBPoolFleetLookStale"}},
		{"a failing task", func(s *service, i int) { s.stats.Tasks.FailedCount += uint64(1 / (i + 1)) }, []string{"DBPoolBackgroundFailing"}},
		{"every replica gone", func(s *service, _ int) { s.gone = true }, []string{"DBPoolGone"}},
		{"gone for a moment", func(s *service, i int) { s.gone = i > 10 && i < 15 }, nil},
		{"no fleet", func(s *service, _ int) { s.stats.Fleet = pool.FleetStats{Mode: config.FleetOff} }, nil},
		{"none wanted", func(s *service, _ int) { s.stats.StatementTimeout = pool.StatementTimeout{} }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before, during, after, alerts := run(t, tc.trouble)
			if len(before) > 0 || !slices.Equal(during, tc.want) || len(after) > 0 {
				t.Errorf("fired before %v, during %v, after %v; want %v during only", before, during, after, tc.want)
			}
			checkTexts(t, alerts)
		})
		for _, name := range tc.want {
			covered[name] = true
		}
	}
	for _, r := range ruleFile(t) {
		if !covered[r.Alert] {
			t.Errorf("%s is not tested", r.Alert)
		}
	}
}

func refused(reason string) func(*service, int) {
	return func(s *service, _ int) {
		s.stats.Server = pool.ServerState{Reason: pool.Reason(reason), Since: time.Unix(2, 0)}
	}
}

// checkTexts looks for templates that did not find their value: Prometheus
// writes nothing in its place.
func checkTexts(t *testing.T, alerts []*rules.Alert) {
	t.Helper()
	for _, a := range alerts {
		// These alerts are about all instances.
		where := a.Labels.Get("instance")
		if name := a.Labels.Get("alertname"); strings.HasPrefix(name, "DBPoolFleet") || name == "DBPoolGone" {
			where = a.Labels.Get("job")
		} else if where != "shop-1:8080" {
			t.Errorf("labels %s do not lead to the instance", a.Labels)
		}
		if a.Labels.Get("job") != "shop" || a.Labels.Get("pool") != "orders" {
			t.Errorf("labels %s do not lead to the pool", a.Labels)
		}
		if d := a.Annotations.Get("description"); !strings.Contains(d, where) {
			t.Errorf("%q does not name %s", d, where)
		}
		for _, text := range []string{a.Annotations.Get("summary"), a.Annotations.Get("description")} {
			if !strings.Contains(text, "orders") || strings.Contains(text, "<") || strings.Contains(text, "NaN") {
				t.Errorf("%s: %q", a.Labels.Get("alertname"), text)
			}
		}
	}
}

func dialError() *pool.DialError { return &pool.DialError{At: time.Unix(3, 0), Reason: "role limit"} }
