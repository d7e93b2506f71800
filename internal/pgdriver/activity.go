package pgdriver

import "github.com/dbpool-go/dbpool/internal/connstate"

// Traffic tells how many times the connection has exchanged anything with the
// server, and whether it is busy: a statement runs, or somebody waits for the
// server. Open rows that nobody reads are not busy, whether the server has sent
// all of them or not.
func (c *Conn) Traffic() (n uint32, busy bool) {
	doing := c.Doing()
	return c.exchange.traffic.Load(), doing == connstate.ActivityRunning || doing == connstate.ActivityListening
}

// Doing is what the holder does with the connection. What goes over the wire
// tells of statements that a function given to sql.Conn.Raw runs.
func (c *Conn) Doing() int32 {
	a := c.slot.State().Load()
	switch {
	case c.socket.farewell.Load():
		return a
	case a == connstate.ActivityRows && c.exchange.reading.Load(), (a == connstate.ActivityIdle || a == connstate.ActivityTx) && c.exchange.owed.Load() > 0:
		return connstate.ActivityRunning
	case (a == connstate.ActivityIdle || a == connstate.ActivityTx) && c.exchange.reading.Load():
		return connstate.ActivityListening
	}
	return a
}

// Outlives reports whether what the holder has open, rows or a transaction, has
// outlived its context.
func (c *Conn) Outlives() bool {
	r, t := c.open.Load(), c.under.Load()
	return r != nil && r.ctx.Err() != nil || t != nil && t.ctx.Err() != nil
}

// becomes notes what the holder does now, if it did was until now. It reports
// false when the connection was taken away, or the caller is mistaken.
func (c *Conn) becomes(was, now int32) bool { return c.slot.State().CompareAndSwap(was, now) }
