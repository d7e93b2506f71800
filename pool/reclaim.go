package pool

import (
	"fmt"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// silence is how long a holder has been seen to exchange nothing with the server.
type silence struct {
	traffic uint32
	may     time.Duration
	since   time.Time
}

// reclaim takes connections away from holders that have done nothing with them
// for longer than they may.
func (h *housekeeper) reclaim(now time.Time) {
	clear(h.before)
	h.before, h.silent = h.silent, h.before
	for _, held := range h.p.gate.Oldest(0) {
		if held.Slot == nil {
			continue
		}
		b := held.Slot.Backend.(backend)
		may := h.mayRest(b)
		if may == 0 {
			continue
		}
		s, known := h.before[held.Grant]
		if n, busy := b.Traffic(); !known || s.traffic != n || s.may != may || busy {
			s = silence{traffic: n, may: may, since: now}
		}
		h.silent[held.Grant] = s
		if now.Sub(s.since) >= may && h.p.takeAway(held, now) {
			held.Activity = connstate.ActivityReclaimed
			h.p.log.Warn("connection reclaimed", holderAttrs(h.p.cfg.Name, h.p.describe(&held, now))...)
		}
	}
}

// mayRest is for how long a holder may do nothing; 0 for as long as it likes.
// Rows and transactions are closed by database/sql when their context ends. When
// they are not, their goroutine is stuck in a Scan, or in the Close that waits
// for it because a Scanner panicked.
func (h *housekeeper) mayRest(b backend) time.Duration {
	may := h.p.cfg.ReclaimAfter
	if b.Outlives() && (may == 0 || may > scanGrace) {
		may = scanGrace
	}
	return may
}

// takeAway ends the session of a holder that runs nothing, and gives its place
// to others. The holder is left with a connection that is good for nothing but
// being given back, which may never happen.
func (p *Pool) takeAway(h gate.Holding, now time.Time) bool {
	b := h.Slot.Backend.(backend)
	b.TellReclaimed(p.errReclaimed(h, b.Outlives(), now))
	if !p.gate.TakeAway(h, now) {
		return false
	}
	b.hangUp()
	p.gate.Demand()
	p.gaveBack(h.Lane, h.Name, h.Statement, now.Sub(h.Since))
	return true
}

// reclaimedError is ErrReclaimed with the pool, the holder and how long it held
// the connection.
type reclaimedError struct {
	pool   string
	holder string // as Holder prints itself: for how long, the code line, the name
	why    string
}

func (e *reclaimedError) Error() string {
	return fmt.Sprintf("pool %q: connection reclaimed, held for %s: %s", e.pool, e.holder, e.why)
}

// Unwrap makes errors.Is find ErrReclaimed.
func (e *reclaimedError) Unwrap() error { return ErrReclaimed }

// errReclaimed is what the holder h is told when its connection is taken away now.
func (p *Pool) errReclaimed(h gate.Holding, outlives bool, now time.Time) error {
	why := fmt.Sprintf("no statement ran on it for longer than DB_RECLAIM_AFTER (%s) allows; give it back sooner, or raise DB_RECLAIM_AFTER", p.cfg.ReclaimAfter)
	if outlives {
		why = "its rows or its transaction stayed open although their context had ended; close the rows, and roll back the transaction"
	}
	return &reclaimedError{pool: p.cfg.Name, holder: p.describe(&h, now).String(), why: why}
}
