package pool

import "time"

// successor says how far the replacement is of the connection that is to be
// closed next.
//
// The rule is that whatever is closed while the successor is there has been
// replaced by it, whoever asked for it and whatever the reason; what is
// recycled without one is owed a dial. So a pool has as many connections after
// Recycle as before.
type successor uint8

const (
	successorNone   successor = iota
	successorWanted           // to be dialed before anything is closed
	successorDialed           // open: the pool has one connection too many
)

// closedLocked notes that a connection was closed, and whether it is to be
// replaced. Others that are due ask for a successor of their own.
func (s *supply) closedLocked(replace bool, now time.Time) {
	if replace && s.successor != successorDialed {
		s.owed++
		s.owedAt = now
	}
	s.successor = successorNone
}

// replacedLocked notes that a connection was dialed.
func (s *supply) replacedLocked(now time.Time) {
	switch {
	case s.owed > 0:
		s.owed--
		s.owedAt = now
	case s.successor == successorWanted:
		s.successor = successorDialed
	}
}

// forgoLocked gives up replacing what has been closed already.
func (s *supply) forgoLocked() {
	s.owed = 0
	if s.successor == successorWanted {
		s.successor = successorNone
	}
}

// replacementsLocked is how many dials are wanted for replacements. A server in
// trouble is not asked for them; see idleProbe.
func (s *supply) replacementsLocked() (owed, ahead int) {
	switch {
	case !s.state.OK:
		return 0, 0
	case s.successor == successorWanted:
		return s.owed, 1
	}
	return s.owed, 0
}

// replacingLocked is how many dials are needed where callers need so many. What
// takes the place of a closed connection serves one of them.
func (g *gate) replacingLocked(callers int) int {
	owed, ahead := g.supply.replacementsLocked()
	return max(owed, callers) + ahead
}
