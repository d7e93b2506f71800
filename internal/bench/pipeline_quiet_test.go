package bench

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/cputime"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// BenchmarkNobodyWaits compares DB_PIPELINE=reads with off where no caller waits for a
// connection, so that nothing is shared: as many connections as goroutines. They take
// short turns by pairs, and the ratio is that of each pair.
func BenchmarkNobodyWaits(b *testing.B) {
	srv := pgtest.Start(b, pgtest.Options{})
	prepareAccounts(b, srv.URL)
	for _, trip := range []time.Duration{0, 2 * time.Millisecond} {
		for _, w := range workloads[:2] {
			for _, goroutines := range []int{1, 10} {
				b.Run(fmt.Sprintf("trip=%s/%s/%d", trip, w.name, goroutines), func(b *testing.B) {
					p := pipelining{srv: srv, trip: trip, workload: w, goroutines: goroutines}
					var pair [2]asker
					for i, mode := range []config.PipelineMode{config.PipelineOff, config.PipelineReads} {
						ours := openOurs(b, p.dsn(b), 10, new(net.Dialer).DialContext, func(c *config.Config) { c.Pipeline = mode })
						pair[i] = asker{"DB_PIPELINE=" + string(mode), sqlQuerier(ours.QueryContext)}
					}
					p.runPairs(b, "nobody waits", pair)
				})
			}
		}
	}
}

// BenchmarkNative compares Pool.Pgx with pgxpool in the same way.
func BenchmarkNative(b *testing.B) {
	srv := pgtest.Start(b, pgtest.Options{})
	prepareAccounts(b, srv.URL)
	for _, goroutines := range []int{1, 10} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			dial := new(net.Dialer).DialContext
			rival, ours := openPgxpool(b, srv.URL, 10, dial), openOurs(b, srv.URL, 10, dial).Pgx()
			pipelining{srv: srv, workload: workloads[1], goroutines: goroutines}.runPairs(b, "native", [2]asker{
				{"pgxpool", pgxQuerier(rival)}, {"dbpool Pgx()", pgxQuerier(ours)},
			})
		})
	}
}

// runPairs prints the rate of the second by that of the first.
func (p pipelining) runPairs(b *testing.B, what string, list [2]asker) {
	const pairs, turn = 60, 100 * time.Millisecond
	var rates [2][]float64
	var did [2]turns
	var ratios []float64
	for pair := range pairs + 5 {
		var rate [2]float64
		for _, j := range rand.Perm(len(list)) {
			var l []time.Duration
			var cost cputime.Cost
			cost.Add(b, func() { l = p.ask(b, list[j], turn) })
			rate[j] = float64(len(l)) / turn.Seconds()
			if pair >= 5 { // before, they warm up
				rates[j] = append(rates[j], rate[j])
				did[j].latencies = append(did[j].latencies, l...)
				did[j].cost.CPU += cost.CPU
			}
		}
		if pair >= 5 {
			ratios = append(ratios, rate[1]/rate[0])
		}
	}
	slices.Sort(ratios)
	t := newTable(b, fmt.Sprintf("%s: %s, trip %s, %d goroutines", what, p.workload.name, p.trip, p.goroutines), "queries/s", "of the first", "middle half of the pairs", "p50", "p99", "CPU/query")
	for j, a := range list {
		slices.Sort(rates[j])
		ratio, spread := "1.00", ""
		if j == 1 {
			ratio = fmt.Sprintf("%.3f", ratios[len(ratios)/2])
			spread = fmt.Sprintf("%.2f to %.2f", ratios[len(ratios)/4], ratios[len(ratios)*3/4])
		}
		l := sorted(did[j].latencies)
		t.row(a.name, fmt.Sprintf("%.0f", rates[j][len(rates[j])/2]), ratio, spread, round(l.quantile(0.5)), round(l.quantile(0.99)), round(did[j].cost.CPU/time.Duration(max(1, len(l)))))
	}
	t.metric(contender{name: list[1].name}, ratios[len(ratios)/2], "of-first")
	t.print()
}
