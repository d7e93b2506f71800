package pooltest

import (
	"strings"
	"time"

	"github.com/dbpool-go/dbpool/pool"
)

// TB is the part of testing.TB that FailOnLeak needs.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

const (
	// leakGrace is how long FailOnLeak waits for connections that are on their way
	// back: database/sql rolls a cancelled transaction back in a goroutine of its own.
	leakGrace = time.Second
	leakPoll  = 5 * time.Millisecond
)

// FailOnLeak fails the test t if, when it ends, somebody still holds a
// connection of p: rows that were not closed, a transaction that was not ended.
// It names each holder with the stack that asked for the connection. Call it
// right after opening the pool, so that the check comes before the pool's Close
// and after the clean-up of everything begun later. [Template.Open] calls it.
func FailOnLeak(t TB, p *pool.Pool) {
	t.Helper()
	t.Cleanup(func() {
		t.Helper()
		if released(p) {
			return
		}
		for _, h := range p.Holders(0) {
			t.Errorf("pool %q: a connection was not given back: %s\n\t%s", p.Config().Name, h, strings.Join(h.Stack, "\n\t"))
		}
	})
}

// released waits until nobody holds a connection, at most leakGrace.
func released(p *pool.Pool) bool {
	grace, poll := time.NewTimer(leakGrace), time.NewTicker(leakPoll)
	defer grace.Stop()
	defer poll.Stop()
	for p.Stats().InUse > 0 {
		select {
		case <-poll.C:
		case <-grace.C:
			return p.Stats().InUse == 0
		}
	}
	return true
}
