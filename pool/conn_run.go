package pool

import (
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// linkWith returns the connection as runs of statements need it.
func (c *conn) linkWith(t *pgdriver.Table) *pgdriver.Link {
	if c.link == nil {
		c.link = pgdriver.NewLink(c.PgConn(), c.pgx().TypeMap(), t)
	}
	return c.link
}

// maxKnown bounds of how many statements a connection remembers that they ran on it.
const maxKnown = 512

// knows reports whether the statement has run on the connection before. The
// first time pgx prepares it, which takes as long again.
func (c *conn) knows(st *pgdriver.Statement) bool {
	if _, ok := c.known[st]; ok {
		return true
	}
	if len(c.known) >= maxKnown || c.known == nil {
		c.known = make(map[*pgdriver.Statement]struct{})
	}
	c.known[st] = struct{}{}
	return false
}

// beginRun is begin for the statements of several callers. It reports false when
// the connection cannot be used.
func (c *conn) beginRun() bool {
	before := c.Activity.Load()
	if c.PgConn().IsBusy() || before == connstate.ActivityReclaimed || !c.Activity.CompareAndSwap(before, connstate.ActivityRunning) {
		return false
	}
	c.trusted = false
	c.exchange.begin()
	return true
}

// cancelRunning asks the server to cancel what the connection executes. The
// function that it returns is called when that has ended.
func (c *conn) cancelRunning() (ended func()) {
	h := &canceller{pg: c.PgConn(), state: &c.cancel, exchange: &c.exchange, ended: make(chan struct{}), done: make(chan struct{})}
	go h.insist(time.Now().Add(cancelGrace)) // the function waits for it
	return func() {
		close(h.ended)
		<-h.done
	}
}
