package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/cputime"
)

const instantURL = "postgres://app@127.0.0.1:1/app?sslmode=disable"

// BenchmarkClient weighs what a query takes of the client's processor, and
// nothing else: the server is in memory and answers at once. What other
// processes do hardly shows in it. The contenders take short turns in random
// order, each of its own processor time.
func BenchmarkClient(b *testing.B) {
	for _, goroutines := range []int{1, 10} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) { client(b, goroutines) })
	}
}

func client(b *testing.B, goroutines int) {
	const rounds, queries = 101, 2000
	list := contendersOver(b, instantURL, 10, dialInstantServer)
	spent, ratio := make([][]time.Duration, len(list)), make([][]float64, len(list))
	for range rounds {
		now := make([]time.Duration, len(list))
		for _, j := range rand.Perm(len(list)) {
			var c cputime.Cost
			c.Add(b, func() { list[j].ask(b, goroutines, queries/goroutines) })
			now[j] = c.CPU / queries
		}
		for j := range list {
			spent[j], ratio[j] = append(spent[j], now[j]), append(ratio[j], float64(now[j])/float64(now[0]))
		}
	}
	t := newTable(b, fmt.Sprintf("%d goroutines, 10 connections in memory, select 1", goroutines), "CPU/query", "of database/sql's", "middle half of the rounds")
	for j, c := range list {
		slices.Sort(ratio[j])
		t.row(c.name, round(sorted(spent[j]).quantile(0.5)), fmt.Sprintf("%.2f", ratio[j][rounds/2]),
			fmt.Sprintf("%.2f to %.2f", ratio[j][rounds/4], ratio[j][rounds*3/4]))
		t.metric(c, ratio[j][rounds/2], "of-sql")
	}
	t.print()
}

// ask has each of goroutines run n queries.
func (c contender) ask(b *testing.B, goroutines, n int) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	failed := make(chan error)
	for range goroutines {
		go func() {
			var err error
			for range n {
				if err == nil {
					err = c.query(ctx, "select 1")
				}
			}
			failed <- err
		}()
	}
	for range goroutines {
		if err := <-failed; err != nil {
			b.Fatal(err)
		}
	}
}
