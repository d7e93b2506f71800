package bench

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// BenchmarkUncontended takes turns between the contenders, one query each, so
// that whatever the machine does meanwhile hits all of them alike.
func BenchmarkUncontended(b *testing.B) {
	list := contenders(b, with(pgtest.Start(b, pgtest.Options{}).URL, "statement_timeout", "30000"), 1)
	took := make([][]time.Duration, len(list))
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for range 20000 {
		for _, j := range rand.Perm(len(list)) {
			started := time.Now()
			if err := list[j].query(ctx, "select 1"); err != nil {
				b.Fatal(err)
			}
			took[j] = append(took[j], time.Since(started))
		}
	}
	for j, c := range list {
		slices.Sort(took[j])
		for _, q := range []float64{0.1, 0.25, 0.5} {
			b.Logf("%-13s p%.0f %8s  %.3f of raw", c.name, 100*q, quantile(took[j], q), float64(quantile(took[j], q))/float64(quantile(took[0], q)))
		}
	}
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}
