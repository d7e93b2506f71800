package gate

import (
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// Slot is one of the server's sessions as far as this pool may use them: what
// a dial takes before its first packet, and what comes free only when the
// server has closed every socket that was opened with it.
//
//	free ──▶ dialing ──▶ open ──▶ closing ──▶ free
//	            └───────────────────▲
//
// All fields are guarded by Gate.mu.
type Slot struct {
	g           *Gate
	state       slotState
	established bool          // it has been open
	last        *Socket       // the one opened last; the others were closed, or split off
	sockets     int           // opened under this slot and not yet closed by the server
	quiet       chan struct{} // closed when sockets falls to 0; nil when nobody waits
	gaveUp      time.Time     // when it became closing
	place       slotPlace     // while it is open
	idleSince   time.Time     // when it came to rest among the warm ones

	// Who dials sets these before the slot opens.
	Backend    any          // the connection
	Doing      func() int32 // what its holder does with it, if more is known than Activity; asked under the gate's lock
	PID        uint32       // the server's process
	RecycleAt  time.Time    // when it is due to be replaced: a random moment before PoolRecycle is over
	Generation uint64       // the pool's, when it was dialed
	Surplus    func() bool  // whether the fleet wants it closed; nil without a fleet
	OnFree     func()       // called, outside the lock, when it has come free; may be nil

	Activity atomic.Int32 // what its holder does with it
	retired  atomic.Int32 // a connstate.CloseReason; see RetireFor
	ended    atomic.Int32 // a connstate.EndCause; see NoteEnd
}

func (s *Slot) doing() int32 {
	if s.Doing != nil {
		return s.Doing()
	}
	return s.Activity.Load()
}

// State is where the connection notes what its holder does with it.
func (s *Slot) State() *atomic.Int32 { return &s.Activity }

// Gate is the slot's.
func (s *Slot) Gate() *Gate { return s.g }

// NewSlot returns a slot for a dial that StartDials has counted.
func (g *Gate) NewSlot() *Slot { return &Slot{g: g} }

// Reserve returns a slot for a dial that nobody waits for; nil when the limit has
// no room for one.
func (g *Gate) Reserve() *Slot {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.roomLocked() < 1 {
		return nil
	}
	g.dialing++
	g.counts.dials++
	return &Slot{g: g}
}

// Socket is a network connection that was opened under a slot.
type Socket struct {
	Conn any // the connection, for whoever opened it
	g    *Gate
	slot *Slot // guarded by Gate.mu: Split gives it another
}

// Ended notes that the server closed the socket, or that it can be believed to have.
func (k *Socket) Ended() {
	k.g.mu.Lock()
	k.slot.socketClosedLocked()
	k.g.mu.Unlock()
	k.g.Demand()
}

// Established reports whether the session of the socket's slot has been open.
func (k *Socket) Established() bool {
	k.g.mu.Lock()
	defer k.g.mu.Unlock()
	return k.slot.established
}

// IsSurplus reports whether the fleet wants s closed when it is given back.
func (s *Slot) IsSurplus() bool { return s.Surplus != nil && s.Surplus() }

type slotState uint8

const (
	slotDialing slotState = iota
	slotOpen
	slotClosing
	slotFree
)

// QuarantineAfter is how long the server may take to end a session before its
// slot counts as quarantined: a network partition, or a statement that cannot be cancelled.
const QuarantineAfter = 10 * time.Second

// openLocked turns a dialed slot into a usable connection.
func (s *Slot) openLocked() {
	s.state, s.established = slotOpen, true
	s.g.dialing--
	s.g.conns++
	s.g.open[s] = struct{}{}
	s.g.counts.opened++
}

// giveUpLocked ends the use of a slot; it comes free now or when its sockets do.
func (s *Slot) giveUpLocked(now time.Time) {
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

func (s *Slot) freeIfQuietLocked() {
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
		if s.OnFree != nil {
			s.g.freed = append(s.g.freed, s.OnFree)
		}
		s.g.watchLocked()
	}
}

// SocketOpens notes that one more socket is being opened under this slot.
func (s *Slot) SocketOpens(c any) *Socket {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.sockets++
	s.last = &Socket{Conn: c, g: s.g, slot: s}
	return s.last
}

// socketClosedLocked notes that the server closed a socket, or that it can be
// believed to have.
func (s *Slot) socketClosedLocked() {
	s.sockets--
	s.freeIfQuietLocked()
}

// LastSocket is the one that a successful connect attempt is left with; nil
// before the first.
func (s *Slot) LastSocket() *Socket {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	return s.last
}

// WhenQuiet returns a channel that is closed when no socket is open under this
// slot. A connect that tries another host, or goes on without TLS, waits for it,
// so that all its attempts together are one session to the server.
func (s *Slot) WhenQuiet() <-chan struct{} {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	if s.quiet == nil {
		s.quiet = make(chan struct{})
	}
	quiet := s.quiet
	s.freeIfQuietLocked()
	return quiet
}

// Split gives a socket whose end does not come a slot of its own, if the limit
// has room for one: then the connect attempt can go on at another host while a
// session that may or may not exist at the first one stays counted.
func (s *Slot) Split() bool {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	if s.sockets == 0 {
		return true // it ended this moment
	}
	if s.g.roomLocked() < 1 {
		return false
	}
	old := &Slot{g: s.g, state: slotClosing, sockets: 1, gaveUp: time.Now()}
	s.last.slot = old
	s.g.closing++
	s.g.closingSlots[old] = struct{}{}
	s.socketClosedLocked()
	return true
}

// Lost notes that the connection of s is about to be closed while nobody holds it.
func (g *Gate) Lost(s *Slot) {
	g.mu.Lock()
	g.lostLocked(s, connstate.CloseUnknown)
	g.mu.Unlock()
	g.Demand()
}

// lostLocked gives s up, once, and counts why.
func (g *Gate) lostLocked(s *Slot, why connstate.CloseReason) {
	if s.state != slotOpen {
		return
	}
	s.RetireFor(why)
	now := time.Now()
	reason := s.closedBecause(g.closed, now)
	if g.counts.closedFor.add(reason); reason == connstate.CloseBroken {
		g.counts.ended[s.ended.Load()]++
	}
	delete(g.open, s)
	g.leavePlaceLocked(s)
	s.giveUpLocked(now)
	turn := s.RetiredFor() == connstate.CloseRecycled // else its owner closed it, which leaves PoolSize of them
	g.dials.closedLocked(turn || reason == connstate.CloseRecycled && g.conns < g.poolSize, now)
}

// Postpone takes back a dial that was not to be begun now.
func (g *Gate) Postpone(s *Slot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.dials--
	s.giveUpLocked(time.Now())
}

// Abandon gives up a slot whose connection never came into use.
func (g *Gate) Abandon(s *Slot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.giveUpLocked(time.Now())
}
