package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// BenchmarkWaiters has 10,000 goroutines wait while one query holds the only
// connection, and weighs them: heap, and stacks.
func BenchmarkWaiters(b *testing.B) {
	const waiters = 10_000
	srv := pgtest.Start(b, pgtest.Options{})
	t := newTable(b, "10,000 waiters", "heap B/waiter", "stack B/waiter", "together")
	for _, c := range contenders(b, srv.URL, 1) {
		ctx, cancel := context.WithCancel(b.Context())
		var all sync.WaitGroup
		query := func(sql string) { all.Go(func() { _ = c.query(ctx, sql) }) }
		query("select pg_sleep(60)")
		time.Sleep(500 * time.Millisecond) // it holds the connection by then
		heap, stack := inUse()
		for range waiters {
			query("select 1")
		}
		time.Sleep(time.Second) // they wait by then
		heapThen, stackThen := inUse()
		perHeap, perStack := float64(heapThen-heap)/waiters, float64(stackThen-stack)/waiters
		t.row(c.name, fmt.Sprintf("%.0f", perHeap), fmt.Sprintf("%.0f", perStack), fmt.Sprintf("%.0f", perHeap+perStack))
		t.metric(c, perHeap+perStack, "B/waiter")
		cancel()
		all.Wait()
	}
	t.print()
}

func inUse() (heap, stack int64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}
