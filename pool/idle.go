package pool

import (
	"database/sql"
	"sync/atomic"
	"time"
)

// idleLimit is how many connections database/sql keeps idle: PoolSize at rest,
// and all of them while overflow is in use or was a moment ago. Closing overflow
// the moment it is idle, as pool_size taken literally says, makes a bursty
// service dial for every burst.
type idleLimit struct {
	g      *gate
	db     *sql.DB
	linger time.Duration
	raised atomic.Bool
}

// raise is called before an overflow connection is handed to database/sql.
func (i *idleLimit) raise() {
	if i.linger > 0 && i.raised.CompareAndSwap(false, true) {
		i.set()
	}
}

// lower undoes raise. If another raise comes in between, that one counts.
func (i *idleLimit) lower() {
	if i.raised.CompareAndSwap(true, false) {
		i.set()
	}
}

// set gives database/sql the limit of the moment. It knows nothing of a fleet's
// share, which comes and goes: trim and conn.verdict see to that.
func (i *idleLimit) set() {
	configured, size := i.g.settings()
	if i.raised.Load() {
		size = configured
	}
	i.db.SetMaxIdleConns(size)
}

// trim closes so many idle connections now.
func (i *idleLimit) trim(excess int) {
	i.db.SetMaxIdleConns(max(0, i.db.Stats().Idle-excess))
	i.set()
}

// settle goes back to PoolSize once overflow has not been in use for linger.
func (i *idleLimit) settle(now time.Time) {
	if !i.g.overflowQuiet(now, i.linger) {
		return
	}
	i.lower()
	for _, c := range i.g.surplusSpares(now) {
		_ = c.Close()
	}
}

func (g *gate) currentLimit() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit
}

// beyondPoolSize reports whether one more connection is overflow.
func (g *gate) beyondPoolSize() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conns >= g.poolSize
}

// overflowQuiet reports whether more than PoolSize were last in use longer than linger ago.
func (g *gate) overflowQuiet(now time.Time, linger time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held <= g.poolSize && now.Sub(g.overflow) >= linger
}

// surplusSpares takes out the dialed connections that nobody came for and that
// are beyond PoolSize, or old.
func (g *gate) surplusSpares(now time.Time) []*conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	size := g.poolSize
	if g.supply.successor == successorDialed {
		size++ // the one that is to be replaced is still there
	}
	var out, keep []*conn
	for _, c := range g.supply.spares {
		if g.conns > min(size, g.limit) || now.After(c.recycleAt) {
			g.lostLocked(c)
			out = append(out, c)
			continue
		}
		keep = append(keep, c)
	}
	g.supply.spares = keep
	return out
}
