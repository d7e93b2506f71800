package gate

import "time"

// CloseReason says why a connection was closed; Closed counts them.
type CloseReason int32

// The reasons. CloseUnknown is that of a connection that may stay.
const (
	CloseUnknown CloseReason = iota
	CloseRecycled
	CloseSurplus
	CloseBroken
	CloseCanceled
	CloseUnclean
	CloseShutdown
)

// RetireFor reports whether r is the first reason.
func (s *Slot) RetireFor(r CloseReason) bool {
	return s.retired.CompareAndSwap(int32(CloseUnknown), int32(r))
}

// RetiredFor is closeUnknown as long as the connection may stay.
func (s *Slot) RetiredFor() CloseReason { return CloseReason(s.retired.Load()) }

// closedBecause is why s is being closed: what was noted on it, or else what
// its owner must have had in mind when it closed an idle connection.
func (s *Slot) closedBecause(poolClosed bool, now time.Time) CloseReason {
	switch reason := s.RetiredFor(); {
	case poolClosed && (reason == CloseUnknown || reason == CloseBroken):
		return CloseShutdown
	case reason != CloseUnknown:
		return reason
	case now.After(s.RecycleAt):
		return CloseRecycled
	}
	return CloseSurplus
}

// Closed counts closed connections by the reason for which they were closed.
type Closed struct{ Recycled, Surplus, Broken, Canceled, Unclean, Shutdown uint64 }

func (s *Closed) add(r CloseReason) {
	switch r {
	case CloseRecycled:
		s.Recycled++
	case CloseSurplus:
		s.Surplus++
	case CloseCanceled:
		s.Canceled++
	case CloseUnclean:
		s.Unclean++
	case CloseShutdown:
		s.Shutdown++
	default:
		s.Broken++
	}
}
