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
	if c.slot.retireFor(r) && r == closeBroken {
		c.options.breakages.Add(1)
	}
}

// retireFor reports whether r is the first reason.
func (s *slot) retireFor(r closeReason) bool {
	return s.retired.CompareAndSwap(int32(closeUnknown), int32(r))
}

// retiredFor is closeUnknown as long as the connection may stay.
func (s *slot) retiredFor() closeReason { return closeReason(s.retired.Load()) }

// closedBecause is why s is being closed: what was noted on it, or else what
// its owner must have had in mind when it closed an idle connection.
func (s *slot) closedBecause(poolClosed bool, now time.Time) closeReason {
	switch reason := s.retiredFor(); {
	case poolClosed && (reason == closeUnknown || reason == closeBroken):
		return closeShutdown
	case reason != closeUnknown:
		return reason
	case now.After(s.recycleAt):
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
