package pgdriver

import (
	"context"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// LinkWith returns the connection as runs of statements need it.
func (c *Conn) LinkWith(t *Table) *Link {
	if c.link == nil {
		c.link = NewLink(c.PgConn(), c.Pgx().TypeMap(), t)
	}
	return c.link
}

// Learn has the server describe a statement, so that it can share a connection.
func (c *Conn) Learn(ctx context.Context, st *Statement, t *Table) {
	if c.begin(ctx) != nil {
		return
	}
	defer c.end()
	_ = c.shield(func() error { return c.LinkWith(t).Learn(ctx, st) }) // it will be said of the statement itself
}

// maxKnown bounds how many statements a connection remembers having run.
const maxKnown = 512

// Knows reports whether the statement has run on the connection before. The
// first time pgx prepares it, which takes as long again.
func (c *Conn) Knows(st *Statement) bool {
	if _, ok := c.known[st]; ok {
		return true
	}
	if len(c.known) >= maxKnown || c.known == nil {
		c.known = make(map[*Statement]struct{})
	}
	c.known[st] = struct{}{}
	return false
}

// BeginRun is begin for the statements of several callers. It reports false when
// the connection cannot be used.
func (c *Conn) BeginRun() bool {
	before := c.slot.State().Load()
	if c.PgConn().IsBusy() || before == connstate.ActivityReclaimed || !c.becomes(before, connstate.ActivityRunning) {
		return false
	}
	c.trusted = false
	c.exchange.begin()
	return true
}

// EndRun notes that a run is over.
func (c *Conn) EndRun() { c.end() }

// CancelRunning asks the server to cancel what the connection executes. The
// function that it returns is called when that has ended.
func (c *Conn) CancelRunning() (ended func()) {
	h := &canceller{pg: c.PgConn(), state: &c.cancel, exchange: &c.exchange, ended: make(chan struct{}), done: make(chan struct{})}
	go h.insist(time.Now().Add(CancelBound)) // the function waits for it
	return func() {
		close(h.ended)
		<-h.done
	}
}
