package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/cputime"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// BenchmarkThroughput has goroutines ask ten connections for trivial queries as
// fast as they can. What a machine gives varies from second to second, so the
// contenders take short turns in random order, and each round compares them.
func BenchmarkThroughput(b *testing.B) {
	for _, goroutines := range []int{2, 10, 100, 1000} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) { throughput(b, goroutines) })
	}
}

func throughput(b *testing.B, goroutines int) {
	const rounds, turn = 9, time.Second
	list := contenders(b, pgtest.Start(b, pgtest.Options{}).URL, 10)
	perSecond, ratio := make([][]float64, len(list)), make([][]float64, len(list))
	spent, queries := make([]cputime.Cost, len(list)), make([]int64, len(list))
	for range rounds {
		now := make([]float64, len(list))
		for _, j := range rand.Perm(len(list)) {
			var n int64
			spent[j].Add(b, func() { n = list[j].served(b, goroutines, turn) })
			queries[j] += n
			now[j] = float64(n) / turn.Seconds()
		}
		for j := range list {
			perSecond[j], ratio[j] = append(perSecond[j], now[j]), append(ratio[j], now[j]/now[0])
		}
	}
	t := newTable(b, fmt.Sprintf("%d goroutines, 10 connections, select 1", goroutines), "queries/s", "of database/sql's", "middle half of the rounds", "CPU/query")
	for j, c := range list {
		slices.Sort(ratio[j])
		slices.Sort(perSecond[j])
		t.row(c.name, fmt.Sprintf("%.0f", perSecond[j][rounds/2]), fmt.Sprintf("%.2f", ratio[j][rounds/2]),
			fmt.Sprintf("%.2f to %.2f", ratio[j][rounds/4], ratio[j][rounds*3/4]), round(spent[j].CPU/time.Duration(queries[j])))
		t.metric(c, ratio[j][rounds/2], "of-sql")
	}
	t.print()
}

// served is how many queries are answered in a turn.
func (c contender) served(b *testing.B, goroutines int, turn time.Duration) int64 {
	ctx, cancel := context.WithTimeout(b.Context(), turn)
	defer cancel()
	var n atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for ctx.Err() == nil {
				if c.query(b.Context(), "select 1") == nil {
					n.Add(1)
				}
			}
		})
	}
	all.Wait()
	return n.Load()
}
