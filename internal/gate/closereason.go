package gate

import (
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// RetireFor reports whether r is the first reason.
func (s *Slot) RetireFor(r connstate.CloseReason) bool {
	return s.retired.CompareAndSwap(int32(connstate.CloseUnknown), int32(r))
}

// RetiredFor is connstate.CloseUnknown as long as the connection may stay.
func (s *Slot) RetiredFor() connstate.CloseReason { return connstate.CloseReason(s.retired.Load()) }

// NoteEnd notes what ended the connection, for one that is broken. The first
// cause counts.
func (s *Slot) NoteEnd(by connstate.EndCause) {
	s.ended.CompareAndSwap(int32(connstate.EndUnknown), int32(by))
}

// Ended counts broken connections by what ended them.
type Ended [connstate.EndCauses]uint64

// closedBecause is why s is being closed: what was noted on it, or else what
// its owner must have had in mind when it closed an idle connection.
func (s *Slot) closedBecause(poolClosed bool, now time.Time) connstate.CloseReason {
	switch reason := s.RetiredFor(); {
	case poolClosed && (reason == connstate.CloseUnknown || reason == connstate.CloseBroken):
		return connstate.CloseShutdown
	case reason != connstate.CloseUnknown:
		return reason
	case now.After(s.RecycleAt):
		return connstate.CloseRecycled
	}
	return connstate.CloseSurplus
}

// Closed counts closed connections by the reason for which they were closed.
type Closed struct{ Recycled, Surplus, Broken, Canceled, Unclean, Shutdown uint64 }

func (s *Closed) add(r connstate.CloseReason) {
	switch r {
	case connstate.CloseRecycled:
		s.Recycled++
	case connstate.CloseSurplus:
		s.Surplus++
	case connstate.CloseCanceled:
		s.Canceled++
	case connstate.CloseUnclean:
		s.Unclean++
	case connstate.CloseShutdown:
		s.Shutdown++
	default:
		s.Broken++
	}
}
