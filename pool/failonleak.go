package pool

import (
	"strings"
	"time"
)

// TB is the part of testing.TB that FailOnLeak needs.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// leakGrace is how long FailOnLeak waits for connections that are on their way
// back: database/sql rolls a cancelled transaction back in a goroutine of its own.
const leakGrace = time.Second

// FailOnLeak fails the test t if, when it ends, somebody still holds a
// connection of p: rows that were not closed, a transaction that was not ended.
// It names each holder with the stack that asked for the connection. Call it
// right after opening the pool, so that the check comes before the pool's Close
// and after the clean-up of everything begun later.
func (p *Pool) FailOnLeak(t TB) {
	t.Helper()
	t.Cleanup(func() {
		t.Helper()
		p.reportLeaks(t)
	})
}

func (p *Pool) reportLeaks(t TB) {
	t.Helper()
	grace := time.NewTimer(leakGrace)
	defer grace.Stop()
	select {
	case <-p.gate.whenReleased():
		return
	case <-grace.C:
	}
	for _, h := range p.Holders(0) {
		t.Errorf("pool %q: a connection was not given back: %s\n\t%s", p.cfg.Name, h, strings.Join(h.Stack, "\n\t"))
	}
}
