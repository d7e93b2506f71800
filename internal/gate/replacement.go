package gate

import "time"

// successor says how far the replacement is of the connection that is to be
// closed next.
//
// The rule is that whatever is closed while the successor is there has been
// replaced by it, whoever asked for it and whatever the reason; what is
// recycled without one is owed a dial. So a pool has as many connections after
// Recycle as before.
type replacement uint8

const (
	replacementNone   replacement = iota
	replacementWanted             // to be dialed before anything is closed
	replacementDialed             // open: the pool has one connection too many
)

// closedLocked notes that a connection was closed, and whether it is to be
// replaced. Others that are due ask for a successor of their own.
func (s *dials) closedLocked(replace bool, now time.Time) {
	if replace && s.replacement != replacementDialed {
		s.pending++
		s.pendingAt = now
	}
	s.replacement = replacementNone
}

// replacedLocked notes that a connection was dialed.
func (s *dials) replacedLocked(now time.Time) {
	switch {
	case s.pending > 0:
		s.pending--
		s.pendingAt = now
	case s.replacement == replacementWanted:
		s.replacement = replacementDialed
	}
}

// forgoLocked gives up replacing what has been closed already.
func (s *dials) forgoLocked() {
	s.pending = 0
	if s.replacement == replacementWanted {
		s.replacement = replacementNone
	}
}

// replacementsLocked is how many dials are wanted for replacements. A server in
// trouble is not asked for them; see idleProbe.
func (s *dials) replacementsLocked() (pending, ahead int) {
	switch {
	case !s.state.OK:
		return 0, 0
	case s.replacement == replacementWanted:
		return s.pending, 1
	}
	return s.pending, 0
}

// replacingLocked is how many dials are needed where callers need so many. What
// takes the place of a closed connection serves one of them.
func (g *Gate) replacingLocked(callers int) int {
	pending, ahead := g.dials.replacementsLocked()
	return max(pending, callers) + ahead
}

// TakeTurn allows one replacement per gap, and none while another one's
// successor is still being dialed or the server refuses dials. Where the limit
// has room the successor is dialed first: if there is none to be had, because
// the new password is wrong say, nothing is lost.
func (g *Gate) TakeTurn(now time.Time, gap time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &g.dials
	if g.shared && g.roomLocked() <= 0 && now.Sub(s.pendingAt) > shareGap {
		s.pending = 0 // the fleet has no place for it
	}
	if g.closed || g.conns > g.limit || g.dialing > 0 || s.pending > 0 || !s.state.OK || now.Sub(s.recycled) < gap {
		return false
	}
	if s.replacement != replacementDialed && g.roomLocked() > 0 {
		s.replacement = replacementWanted // whoever asked sees to the dial
		return false
	}
	s.recycled = now
	return true
}

// shareGap is how long the fleet may take to find a place for the next
// successor of those that were closed for their age: a few of its looks.
const shareGap = 3 * time.Second
