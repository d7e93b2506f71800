package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// scale is a fleet on a server of so many connections.
type scale struct {
	connections, processes, pools int
	rounds, seconds               int
}

// spent is what a scene took of the processor.
type spent struct{ server, clients time.Duration }

// A fleet serves at least as much as fixed parts do on the same server in the same run,
// and costs the server little more. With -fleet.big that is 100 replicas; they are
// pools of 10 processes.
func TestFleetAtScale(t *testing.T) {
	sizes := []scale{{connections: 30, processes: 2, pools: 8, rounds: 1, seconds: 3}}
	if *big {
		sizes = append(sizes, scale{connections: 150, processes: 10, pools: 10, rounds: 3, seconds: 6})
	}
	for _, size := range sizes {
		n := size.processes * size.pools
		t.Run(fmt.Sprintf("%d replicas", n), func(t *testing.T) {
			s, _ := newScenarioOn(t, strconv.Itoa(size.seconds), pgtest.Options{Settings: map[string]string{"max_connections": strconv.Itoa(size.connections)}})
			busy := s.compareAtScale(t, size, part{workers: 4, hold: 100 * time.Millisecond, pools: size.pools, fixed: 1})
			calm := s.compareAtScale(t, size, part{workers: 1, hold: 5 * time.Millisecond, pause: 500 * time.Millisecond, pools: size.pools, fixed: 1})
			t.Logf("the protocol's work at the server: %.3f cores while all want more, %.3f while calm", busy.cores, calm.cores)
			if busy.ratio < 1 || calm.ratio < 0.8 { // processes report twice a second, so that short scenes differ by that
				t.Errorf("of what fixed parts serve: %.2f while all want more, %.2f while calm", busy.ratio, calm.ratio)
			}
			if most := 0.2 * max(1, float64(n)/100); busy.cores > most || calm.cores > most/4 {
				t.Errorf("more than %.3f cores, or %.3f while calm", most, most/4)
			}
		})
	}
}

// compared is a fleet beside fixed parts: the median of rounds in turn.
type compared struct {
	ratio float64 // of the requests served
	cores float64 // of the server that the fleet takes beyond what its requests take
}

func (s *scenario) compareAtScale(t *testing.T, size scale, p part) compared {
	t.Helper()
	parts := make([]part, size.processes)
	for i := range parts {
		parts[i] = p
	}
	var ratios, cores []float64
	for range size.rounds {
		fixed, fixedSpent := s.weigh(t, kindStatic, parts)
		fleet, fleetSpent := s.weigh(t, kindFleet, parts)
		ratios = append(ratios, fleet.rate/fixed.rate)
		perRequest := fixedSpent.server.Seconds() / float64(s.opts.seconds) / fixed.rate
		cores = append(cores, fleetSpent.server.Seconds()/float64(s.opts.seconds)-perRequest*fleet.rate)
		t.Logf("%d callers each: fixed parts %.0f/s, %.3f cores (clients %.3f); fleet %.0f/s, %.3f cores (clients %.3f), %d x 53300, %d failed %s",
			p.workers, fixed.rate, s.cores(fixedSpent.server), s.cores(fixedSpent.clients), fleet.rate, s.cores(fleetSpent.server), s.cores(fleetSpent.clients),
			fleet.report.Full+fleet.report.Refused, fleet.report.Failed, fleet.report.Error)
	}
	slices.Sort(ratios)
	slices.Sort(cores)
	return compared{ratios[len(ratios)/2], cores[len(cores)/2]}
}

func (s *scenario) cores(d time.Duration) float64 { return d.Seconds() / float64(s.opts.seconds) }

// settled waits until so many replicas have opened what they want: nothing has been opened or
// closed for some seconds. That many sessions take a busy machine a while to begin.
func (s *scenario) settled(t *testing.T, replicas int) time.Duration {
	t.Helper()
	const quiet, most = 4 * time.Second, 90 * time.Second
	began := time.Now()
	last, since := 0, began
	for time.Since(began) < most && (last < replicas || time.Since(since) < quiet) {
		rest(t.Context(), 200*time.Millisecond)
		if n := sockets(s.srv.Port); n != last {
			last, since = n, time.Now()
		}
	}
	return time.Since(began).Round(time.Second)
}

// weigh measures one kind, and what it takes of the processor.
func (s *scenario) weigh(t *testing.T, kind string, parts []part) (result, spent) {
	t.Helper()
	r, err := assemble(t.Context(), kind, s.dsn, parts)
	if err != nil {
		t.Fatal(err)
	}
	defer r.leave()
	r.measure(true)
	r.begun(t.Context())
	t.Logf("%s: settled after %v", kind, s.settled(t, len(parts)*parts[0].pools))
	before, _, _ := r.totals()
	began, used := time.Now(), s.spent(t, r)
	rest(t.Context(), time.Duration(s.opts.seconds)*time.Second)
	after, _, _ := r.totals()
	now := s.spent(t, r)
	after.Full, after.Failed, after.Refused = after.Full-before.Full, after.Failed-before.Failed, after.Refused-before.Refused
	return result{report: after, rate: float64(after.OK-before.OK) / time.Since(began).Seconds()}, spent{now.server - used.server, now.clients - used.clients}
}

// spent is what the server and the replicas' processes have used so far.
func (s *scenario) spent(t *testing.T, r *replicas) (sum spent) {
	t.Helper()
	postmaster, err := s.srv.QueryInt(t.Context(), "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int")
	if err != nil {
		t.Fatal(err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		pid, parent, used := readStat(path)
		if pid == postmaster || parent == postmaster {
			sum.server += used
		}
		if slices.ContainsFunc(r.live, func(one *replica) bool { return one.cmd.Process.Pid == pid }) {
			sum.clients += used
		}
	}
	return sum
}

// readStat is what a process has used, with its children that have ended.
func readStat(path string) (pid, parent int, used time.Duration) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, 0 // it has just ended
	}
	_, after, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(after)
	if len(f) < 15 {
		return 0, 0, 0
	}
	const tick = 10 * time.Millisecond
	for _, field := range f[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.Atoi(field)
		used += time.Duration(n) * tick
	}
	pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(path)))
	parent, _ = strconv.Atoi(f[1])
	return pid, parent, used
}
