package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// conn is a real connection of the pool: a server session, and what the pool has
// to know of it. The *sql.DB of owner.go owns it; whoever a permit was granted
// for uses it.
type conn struct {
	*pgdriver.Conn
	slot         *gate.Slot
	held         *sql.Conn // keeps it checked out of its owner, while it is not at home there
	fleetSession *fleet.Session
	recycler     *recycler
	closed       bool
}

var (
	_ driver.Conn            = (*conn)(nil)
	_ driver.SessionResetter = (*conn)(nil)
	_ driver.Validator       = (*conn)(nil)
	_ pgdriver.Owner         = (*conn)(nil)
)

// newConn makes a session the pool's, which is in its slot.
func newConn(s *pgdriver.Conn, sl *gate.Slot, r *recycler) *conn {
	c := &conn{Conn: s, slot: sl, recycler: r}
	s.SetOwner(c)
	return c
}

// ready makes the connection the holder's of permit, who has just been granted it.
func (c *conn) ready(ctx context.Context, permit *gate.Permit) error {
	return c.Ready(ctx, permit.Want != gate.WantConn)
}

// verdict is why the connection cannot go on when its holder gives it back;
// CloseUnknown when it can.
func (c *conn) verdict(now time.Time) connstate.CloseReason {
	why := c.Fault()
	switch {
	case why != connstate.CloseUnknown:
		return why
	case c.slot.IsSurplus():
		return connstate.CloseSurplus
	case c.recycler.expired(c.slot, now):
		return connstate.CloseRecycled
	}
	c.GivenBack(now)
	return connstate.CloseUnknown
}

// Close ends the connection; its owner calls it.
func (c *conn) Close() error {
	if c.isReclaimed() || c.closed {
		return nil // a former holder still has it, and says the farewell
	}
	c.closed = true
	c.RetireIfEnded()
	c.slot.Gate().Lost(c.slot)
	return c.Conn.Close()
}

// close has the owner close the connection. One that was taken away from its
// holder has left the owner already.
func (c *conn) close() {
	switch {
	case c.isReclaimed():
		_ = c.Conn.Close()
	case c.held == nil:
		_ = c.Close()
	default:
		_ = c.held.Close()
	}
}

// Discard is close, for the session itself.
func (c *conn) Discard() { c.close() }

// hangUp ends the session of a connection that was taken away from its holder.
// Whoever gets its place cannot come before this.
func (c *conn) hangUp() {
	c.HangUp()
	_ = c.held.Close()
}

func (c *conn) isReclaimed() bool { return c.slot.Activity.Load() == connstate.ActivityReclaimed }
