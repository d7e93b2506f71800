package pool

import "github.com/dbpool-go/dbpool/internal/connstate"

// retireFor notes why the connection is to be closed when it comes back. The
// first reason counts.
func (c *conn) retireFor(r connstate.CloseReason) {
	if c.Slot.RetireFor(r) && r == connstate.CloseBroken {
		c.options.breakages.Add(1)
	}
}
