package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// BenchmarkUncontended compares the latency of a trivial query when nobody else
// wants a connection. The contenders take turns in random order, one query
// each, so that whatever the machine does meanwhile hits all of them alike;
// each round has connections, and so server processes, of its own.
func BenchmarkUncontended(b *testing.B) {
	const rounds, queries = 15, 2000
	srv := pgtest.Start(b, pgtest.Options{})
	var list []contender
	ratios := make(map[string][]float64) // median to database/sql's median, a round each
	medians := make(map[string][]time.Duration)
	for range rounds {
		list = contenders(b, srv.URL, 1)
		took := takeTurns(b, list, queries)
		for i, c := range list {
			median := sorted(took[i]).quantile(0.5)
			medians[c.name] = append(medians[c.name], median)
			ratios[c.name] = append(ratios[c.name], float64(median)/float64(sorted(took[0]).quantile(0.5)))
		}
	}
	t := newTable(b, "uncontended select 1", "p50", "of database/sql", "lowest and highest round")
	for _, c := range list {
		ratio := middle(ratios[c.name])
		t.row(c.name, round(sorted(medians[c.name]).quantile(0.5)), fmt.Sprintf("%.3f", ratio), fmt.Sprintf("%.3f … %.3f", slices.Min(ratios[c.name]), slices.Max(ratios[c.name])))
		t.metric(c, ratio, "ratio")
	}
	t.print()
}

func takeTurns(b *testing.B, list []contender, queries int) [][]time.Duration {
	took := make([][]time.Duration, len(list))
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for i := range 200 + queries {
		for _, j := range rand.Perm(len(list)) {
			started := time.Now()
			if err := list[j].query(ctx, "select 1"); err != nil {
				b.Fatal(err)
			}
			if i >= 200 { // warm
				took[j] = append(took[j], time.Since(started))
			}
		}
	}
	return took
}

func middle(values []float64) float64 {
	d := make([]time.Duration, len(values))
	for i, v := range values {
		d[i] = time.Duration(v * 1e6)
	}
	return float64(sorted(d).quantile(0.5)) / 1e6
}
