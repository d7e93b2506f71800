package pool

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// StandbyStats says how reads at standbys go. InUse and the like of Stats itself
// are those at the primary: both together never have more than Budget.
type StandbyStats struct {
	OK     bool      // standbys can be used; else reads go to the primary
	Reason string    // when not OK: why
	Since  time.Time // when the present state began
	Behind bool      // a standby lately did not have in time what a reader had written

	Budget  int // the most connections to the primary and standbys together: PoolSize + MaxOverflow, or what Resize said
	Limit   int // the most connections to standbys now
	InUse   int // of those: held by callers
	Idle    int // open and free
	Dialing int // being opened
	Closing int // given up, and their session has not ended yet
	Waiting int // callers queued for one

	ReadCount     uint64        // reads that were sent to a standby
	UnusableCount uint64        // reads that the primary served because no standby could be used
	BehindCount   uint64        // reads that the primary served because standbys were behind
	WaitCount     uint64        // reads that waited for a standby to have what they needed
	WaitDuration  time.Duration // how long they waited in all
}

// standbyCounts only ever grow.
type standbyCounts struct {
	reads, unusable, behind atomic.Uint64
	waits                   atomic.Uint64
	waitedFor               atomic.Int64
}

func (c *standbyCounts) waited(d time.Duration) {
	c.waits.Add(1)
	c.waitedFor.Add(int64(d))
}

func (b *standbys) stats() *StandbyStats {
	if b == nil {
		return nil
	}
	u, there := b.use.Load(), b.p.figures()
	s := &StandbyStats{
		Limit: there.Limit, InUse: there.InUse, Idle: there.Idle, Dialing: there.Dialing, Closing: there.Closing, Waiting: there.Waiting,
		OK: u.ok, Since: u.since, Behind: b.isBehind(),
		ReadCount: b.counts.reads.Load(), UnusableCount: b.counts.unusable.Load(), BehindCount: b.counts.behind.Load(),
		WaitCount: b.counts.waits.Load(), WaitDuration: time.Duration(b.counts.waitedFor.Load()),
	}
	if u.why != nil {
		s.Reason = u.why.Error()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Budget = b.cfg.MaxOpen()
	return s
}

// withHolders adds those who hold connections to standbys, and keeps the n oldest.
func (b *standbys) withHolders(held []Holder, n int, now time.Time) []Holder {
	if b == nil {
		return held
	}
	held = append(held, b.p.describeAll(b.p.gate.Oldest(n), now)...)
	slices.SortStableFunc(held, func(x, y Holder) int { return cmp.Compare(y.Held, x.Held) })
	if n > 0 {
		held = held[:min(n, len(held))]
	}
	return held
}
