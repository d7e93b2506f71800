package pool

import "time"

// closeReason says why a connection was closed; ClosedStats counts them.
type closeReason int32

const (
	closeUnknown closeReason = iota
	closeRecycled
	closeSurplus
	closeBroken
	closeCanceled
	closeUnclean
	closeShutdown
)

// retireFor notes why the connection is to be closed when it comes back. The
// first reason counts.
func (c *conn) retireFor(r closeReason) {
	if c.retired.CompareAndSwap(int32(closeUnknown), int32(r)) && r == closeBroken {
		c.options.breakages.Add(1)
	}
}

// retiredFor is closeUnknown as long as the connection may stay.
func (c *conn) retiredFor() closeReason { return closeReason(c.retired.Load()) }

// closedBecause is why c is being closed: what was noted on it, or else what
// database/sql must have had in mind when it closed an idle connection.
func (c *conn) closedBecause(poolClosed bool, now time.Time) closeReason {
	switch reason := c.retiredFor(); {
	case poolClosed && (reason == closeUnknown || reason == closeBroken):
		return closeShutdown
	case reason != closeUnknown:
		return reason
	case now.After(c.recycleAt):
		return closeRecycled
	}
	return closeSurplus
}

func (s *ClosedStats) add(r closeReason) {
	switch r {
	case closeRecycled:
		s.Recycled++
	case closeSurplus:
		s.Surplus++
	case closeCanceled:
		s.Canceled++
	case closeUnclean:
		s.Unclean++
	case closeShutdown:
		s.Shutdown++
	default:
		s.Broken++
	}
}
