package pool

import (
	"sync/atomic"
	"time"
)

// slot is one of the server's sessions as far as this pool may use them: what
// a dial takes before its first packet, and what comes free only when the
// server has closed every socket that was opened with it.
//
//	free ──▶ dialing ──▶ open ──▶ closing ──▶ free
//	            └───────────────────▲
//
// All fields are guarded by gate.mu.
type slot struct {
	g           *gate
	state       slotState
	established bool          // it has been open
	last        *netConn      // the socket opened last; the others were closed, or split off
	sockets     int           // opened under this slot and not yet closed by the server
	quiet       chan struct{} // closed when sockets falls to 0; nil when nobody waits
	gaveUp      time.Time     // when it became closing
	onFree      func()        // called, outside the lock, when it has come free; may be nil
	place       slotPlace     // while it is open
	idleSince   time.Time     // when it came to rest among the warm ones
	backend     backend       // its connection; set before it opens

	pid        uint32       // the server's process, once open
	recycleAt  time.Time    // when it is due to be replaced: a random moment before PoolRecycle is over
	generation uint64       // the pool's, when it was dialed
	surplus    func() bool  // whether the fleet wants it closed; nil without a fleet
	activity   atomic.Int32 // what its holder does with it
	retired    atomic.Int32 // a closeReason; see retireFor
}

// isSurplus reports whether the fleet wants s closed when it is given back.
func (s *slot) isSurplus() bool { return s.surplus != nil && s.surplus() }

type slotState uint8

const (
	slotDialing slotState = iota
	slotOpen
	slotClosing
	slotFree
)

// quarantineAfter is how long the server may take to end a session before its
// slot counts as quarantined: a network partition, or a statement that cannot be cancelled.
const quarantineAfter = 10 * time.Second

// openLocked turns a dialed slot into a usable connection.
func (s *slot) openLocked() {
	s.state, s.established = slotOpen, true
	s.g.dialing--
	s.g.conns++
	s.g.open[s] = struct{}{}
	s.g.counts.opened++
}

// giveUpLocked ends the use of a slot; it comes free now or when its sockets do.
func (s *slot) giveUpLocked(now time.Time) {
	switch s.state {
	case slotDialing:
		s.g.dialing--
	case slotOpen:
		s.g.conns--
	default:
		return
	}
	s.state, s.gaveUp = slotClosing, now
	s.g.closing++
	s.g.closingSlots[s] = struct{}{}
	s.freeIfQuietLocked()
}

func (s *slot) freeIfQuietLocked() {
	if s.sockets > 0 {
		return
	}
	if s.quiet != nil {
		close(s.quiet)
		s.quiet = nil
	}
	if s.state == slotClosing {
		s.state = slotFree
		s.g.closing--
		delete(s.g.closingSlots, s)
		if s.onFree != nil {
			s.g.freed = append(s.g.freed, s.onFree)
		}
		s.g.watchLocked()
	}
}

// socketOpens notes that one more socket is being opened under this slot.
func (s *slot) socketOpens(c *netConn) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.sockets++
	s.last = c
}

// socketClosedLocked notes that the server closed a socket, or that it can be
// believed to have: see netConn.
func (s *slot) socketClosedLocked() {
	s.sockets--
	s.freeIfQuietLocked()
}

// lastSocket is the one that a successful connect attempt is left with.
func (s *slot) lastSocket() *netConn {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	return s.last
}

// whenQuiet returns a channel that is closed when no socket is open under this
// slot. A connect that tries another host, or goes on without TLS, waits for it,
// so that all its attempts together are one session to the server.
func (s *slot) whenQuiet() <-chan struct{} {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	if s.quiet == nil {
		s.quiet = make(chan struct{})
	}
	quiet := s.quiet
	s.freeIfQuietLocked()
	return quiet
}

// split gives a socket whose end does not come a slot of its own, if the limit
// has room for one: then the connect attempt can go on at another host while a
// session that may or may not exist at the first one stays counted.
func (s *slot) split() bool {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	if s.sockets == 0 {
		return true // it ended this moment
	}
	if s.g.roomLocked() < 1 {
		return false
	}
	old := &slot{g: s.g, state: slotClosing, sockets: 1, gaveUp: time.Now()}
	s.last.slot = old
	s.g.closing++
	s.g.closingSlots[old] = struct{}{}
	s.socketClosedLocked()
	return true
}

// lost notes that the connection of s is about to be closed while nobody holds it.
func (g *gate) lost(s *slot) {
	g.mu.Lock()
	g.lostLocked(s, closeUnknown)
	g.mu.Unlock()
	g.demand()
}

// lostLocked gives s up, once, and counts why.
func (g *gate) lostLocked(s *slot, why closeReason) {
	if s.state != slotOpen {
		return
	}
	s.retireFor(why)
	now := time.Now()
	reason := s.closedBecause(g.closed, now)
	g.counts.closedFor.add(reason)
	delete(g.open, s)
	g.leavePlaceLocked(s)
	s.giveUpLocked(now)
	turn := s.retiredFor() == closeRecycled // else its owner closed it, which leaves PoolSize of them
	g.supply.closedLocked(turn || reason == closeRecycled && g.conns < g.poolSize, now)
}

// postpone takes back a dial that was not to be begun now.
func (g *gate) postpone(s *slot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.dials--
	s.giveUpLocked(time.Now())
}

// abandon gives up a slot whose connection never came into use.
func (g *gate) abandon(s *slot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.giveUpLocked(time.Now())
}
