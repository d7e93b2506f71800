package gate

import (
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// slotPlace says where the connection of an open slot is.
type slotPlace uint8

const (
	placeHeld    slotPlace = iota // a permit's holder has it, or has lost it
	placeWarm                     // in gate.warm, to be handed on
	placeHome                     // idle in the *sql.DB that owns it
	placeClaimed                  // with housekeeping, for a moment
)

// RestAfter is how long a connection within PoolSize stays warm.
const RestAfter = time.Second

// idleLocked is how many connections nobody holds.
func (g *Gate) idleLocked() int {
	return len(g.warm) + g.claimed + max(0, g.home-g.fetching)
}

// inUseLocked is how many connections callers hold. A holder whose connection
// died under it holds none.
func (g *Gate) inUseLocked() int { return g.conns - g.idleLocked() }

// putLocked makes an open slot that nobody holds ready for the next holder.
func (g *Gate) putLocked(s *Slot, now time.Time) {
	s.place, s.idleSince = placeWarm, now
	s.Activity.Store(connstate.ActivityUnused)
	g.warm = append(g.warm, s)
}

// takeLocked takes the connection used last for a new holder. It returns nil
// when the holder is to fetch one from its owner.
func (g *Gate) takeLocked() *Slot {
	n := len(g.warm)
	if n == 0 {
		g.fetching++
		return nil
	}
	s := g.warm[n-1]
	g.warm[n-1] = nil
	g.warm = g.warm[:n-1]
	s.place = placeHeld
	return s
}

// leavePlaceLocked notes that s is no longer where it was.
func (g *Gate) leavePlaceLocked(s *Slot) {
	switch s.place {
	case placeWarm:
		for i, other := range g.warm {
			if other == s {
				g.warm = append(g.warm[:i], g.warm[i+1:]...)
				break
			}
		}
	case placeHome:
		g.home--
	case placeClaimed:
		g.claimed--
	}
	s.place = placeHeld
}

// Fetched notes that the holder of p got s from its owner, or nothing: the owner
// had just closed it.
func (g *Gate) Fetched(p *Permit, s *Slot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fetching--
	if s != nil {
		g.leavePlaceLocked(s)
		p.Slot = s
	}
}

// BroughtBack notes that s came from its owner without anybody having asked for it.
func (g *Gate) BroughtBack(s *Slot, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.state != slotOpen {
		return
	}
	g.leavePlaceLocked(s)
	g.putLocked(s, now)
	g.dispatchLocked(now)
}

// Claim takes a warm connection out for housekeeping, the one that has rested
// longest of those that pick chooses. It returns nil when there is none.
func (g *Gate) Claim(pick func(*Slot) bool) *Slot {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.warm {
		if pick(s) {
			g.leavePlaceLocked(s)
			s.place = placeClaimed
			g.claimed++
			return s
		}
	}
	return nil
}

// Unclaim puts a claimed connection back where it was among the warm ones: it
// has not been used.
func (g *Gate) Unclaim(s *Slot, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.state != slotOpen {
		return
	}
	g.leavePlaceLocked(s)
	s.place = placeWarm
	g.warm = append([]*Slot{s}, g.warm...)
	g.dispatchLocked(now)
}

// WentHome notes that a claimed connection was given to its owner, which may
// have closed it.
func (g *Gate) WentHome(s *Slot, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.state != slotOpen || s.place != placeClaimed {
		return // or it has come out again already
	}
	g.leavePlaceLocked(s)
	s.place = placeHome
	g.home++
	g.dispatchLocked(now)
}

// AtHome reports how many connections are idle in their owner.
func (g *Gate) AtHome() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.home
}

// TakeIdle takes out all warm connections, for closing.
func (g *Gate) TakeIdle() []*Slot {
	g.mu.Lock()
	defer g.mu.Unlock()
	idle := append([]*Slot(nil), g.warm...)
	for _, s := range idle {
		g.lostLocked(s, connstate.CloseUnknown)
	}
	return idle
}

// ClaimRested claims a connection that is to go home, where there is room for
// it. What is due stays until it has been replaced.
func (g *Gate) ClaimRested(now time.Time, due func(*Slot, time.Time) bool, owned bool) *Slot {
	if !owned {
		return nil
	}
	return g.Claim(func(s *Slot) bool {
		return g.home < g.poolSize && now.Sub(s.idleSince) >= RestAfter && !due(s, now)
	})
}

// ClaimSurplus claims a connection beyond the limit.
func (g *Gate) ClaimSurplus() *Slot {
	return g.Claim(func(*Slot) bool { return g.conns > g.limit })
}

// ClaimOverflow claims a connection that PoolSize leaves no room for, once more
// than PoolSize have not been in use for the linger.
func (g *Gate) ClaimOverflow(now time.Time) *Slot {
	return g.Claim(func(*Slot) bool {
		return g.held <= g.poolSize && now.Sub(g.overflow) >= g.linger && g.idleLocked() > g.keepLocked()
	})
}

// IdleSlots returns the slots whose connections nobody holds, at this moment.
func (g *Gate) IdleSlots() []*Slot {
	g.mu.Lock()
	defer g.mu.Unlock()
	idle := make([]*Slot, 0, g.idleLocked())
	for s := range g.open {
		if s.place != placeHeld {
			idle = append(idle, s)
		}
	}
	return idle
}

// AnyIdle reports whether any connection is that nobody holds.
func (g *Gate) AnyIdle(is func(*Slot) bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.open {
		if s.place != placeHeld && is(s) {
			return true
		}
	}
	return false
}
