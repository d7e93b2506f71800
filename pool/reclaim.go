package pool

import (
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// silence is how long a holder has been seen to exchange nothing with the server.
type silence struct {
	traffic uint32
	since   time.Time
}

// reclaim takes connections away from holders that have long done nothing with
// them, if that was asked for.
func (h *housekeeper) reclaim(now time.Time) {
	if h.p.cfg.ReclaimAfter == 0 {
		return
	}
	seen := make(map[gate.Grant]silence)
	for _, held := range h.p.gate.Oldest(0) {
		if held.Slot == nil {
			continue
		}
		s, known := h.silent[held.Grant]
		if n, busy := held.Slot.Backend.(backend).Traffic(); !known || s.traffic != n || busy {
			s = silence{traffic: n, since: now}
		}
		seen[held.Grant] = s
		if now.Sub(s.since) >= h.p.cfg.ReclaimAfter && h.p.takeAway(held, now) {
			held.Activity = connstate.ActivityReclaimed
			h.p.log.Warn("connection reclaimed", holderAttrs(h.p.cfg.Name, h.p.describe(&held, now))...)
		}
	}
	h.silent = seen
}

// takeAway ends the session of a holder that runs nothing, and gives its place
// to others. The holder is left with a connection that is good for nothing but
// being given back, which may never happen.
func (p *Pool) takeAway(h gate.Holding, now time.Time) bool {
	if !p.gate.TakeAway(h, now) {
		return false
	}
	h.Slot.Backend.(backend).hangUp()
	p.gate.Demand()
	lane := Lane(h.Lane)
	p.gaveBack(p.routes.of(lane, h.Name), lane, h.Name, now.Sub(h.Since))
	return true
}
