// Package cputime weighs work in benchmarks: what it takes of the processor
// varies less than the time that it takes.
package cputime

import (
	"syscall"
	"testing"
	"time"
)

// Cost is what work took, in time and in CPU of this process; servers that run
// beside it are not in it. The zero value is nothing yet.
type Cost struct{ Wall, CPU time.Duration }

// Add does the work and adds what it took.
func (c *Cost) Add(tb testing.TB, work func()) {
	tb.Helper()
	start, before := time.Now(), used(tb)
	work()
	c.Wall += time.Since(start)
	c.CPU += used(tb) - before
}

// used is all that this process has used so far.
func used(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
