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

// closedBecause is why c is being closed: what was noted on it, or else what
// database/sql must have had in mind when it closed an idle connection.
func (c *conn) closedBecause(poolClosed bool, now time.Time) closeReason {
	switch reason := closeReason(c.retire.Load()); {
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
