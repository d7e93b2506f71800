package pool

import "github.com/dbpool-go/dbpool/internal/gate"

// retireFor notes why the connection is to be closed when it comes back. The
// first reason counts.
func (c *conn) retireFor(r gate.CloseReason) {
	if c.Slot.RetireFor(r) && r == gate.CloseBroken {
		c.options.breakages.Add(1)
	}
}
