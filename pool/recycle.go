package pool

import (
	"context"
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
		i.db.SetMaxIdleConns(i.g.currentLimit())
	}
}

// lower undoes raise. If another raise comes in between, that one counts.
func (i *idleLimit) lower(size int) {
	if !i.raised.CompareAndSwap(true, false) {
		return
	}
	i.db.SetMaxIdleConns(size)
	if i.raised.Load() {
		i.db.SetMaxIdleConns(i.g.currentLimit())
	}
}

// trim closes so many idle connections now.
func (i *idleLimit) trim(excess int) {
	i.db.SetMaxIdleConns(max(0, i.db.Stats().Idle-excess))
	limit, size := i.g.limits()
	if i.raised.Load() {
		size = limit
	}
	i.db.SetMaxIdleConns(size)
}

// settle goes back to PoolSize once overflow has not been in use for linger.
func (i *idleLimit) settle(now time.Time) {
	size, quiet := i.g.overflowQuiet(now, i.linger)
	if !quiet {
		return
	}
	i.lower(size)
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

// overflowQuiet reports PoolSize and whether more than that were last in use longer than linger ago.
func (g *gate) overflowQuiet(now time.Time, linger time.Duration) (size int, quiet bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.poolSize, g.held <= g.poolSize && now.Sub(g.overflow) >= linger
}

// surplusSpares takes out the dialed connections that nobody came for and that
// are beyond PoolSize, or old.
func (g *gate) surplusSpares(now time.Time) []*conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out, keep []*conn
	for _, c := range g.supply.spares {
		if g.conns > min(g.poolSize, g.limit) || now.After(c.recycleAt) {
			g.lostLocked(c)
			out = append(out, c)
			continue
		}
		keep = append(keep, c)
	}
	g.supply.spares = keep
	return out
}

// recycler paces the replacement of connections, so that they never go all at
// once. database/sql's own lifetime is not set: it would close everything that
// is old, also while the server refuses to give anything new.
type recycler struct {
	g          *gate
	lifetime   time.Duration
	generation *atomic.Uint64
}

// recycleGap is the least time between two replacements that Recycle asked for.
const recycleGap = 50 * time.Millisecond

// expired reports whether c is to be replaced now: it is old, and it is its
// turn.
func (r *recycler) expired(c *conn, now time.Time) bool {
	if !r.due(c, now) {
		return false
	}
	gap := recycleGap
	if c.generation == r.generation.Load() {
		gap = max(gap, r.lifetime/time.Duration(4*max(1, r.g.currentLimit())))
	}
	return r.g.takeTurn(now, gap)
}

func (r *recycler) due(c *conn, now time.Time) bool {
	return now.After(c.recycleAt) || c.generation != r.generation.Load()
}

// takeTurn allows one replacement per gap, and none while the last one's
// successor is still being dialed or the server refuses dials.
func (g *gate) takeTurn(now time.Time, gap time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dialing > 0 || g.supply.owed > 0 || !g.supply.state.OK || now.Sub(g.supply.recycled) < gap {
		return false
	}
	g.supply.recycled = now
	return true
}

// sweep replaces idle connections that are due. database/sql hands out the most
// recently used first, so those at the bottom of its list are reached by
// checking out all that are idle, for the few microseconds that takes.
func (k *keeper) sweep(ctx context.Context, now time.Time) {
	if !k.p.gate.anyOpen(func(c *conn) bool { return c.surplus() || k.p.recycler.due(c, now) }) {
		return
	}
	var checked []*sql.Conn
	for {
		held := k.checkout(ctx)
		if held == nil {
			break
		}
		checked = append(checked, held)
		if retired(held, k.p.recycler, now) {
			break
		}
	}
	for i := len(checked) - 1; i >= 0; i-- { // in the order in which they lay
		_ = checked[i].Close()
	}
}

// retired marks the connection for replacement if it is its turn; it is closed
// when it is given back.
func retired(held *sql.Conn, r *recycler, now time.Time) (yes bool) {
	_ = held.Raw(func(dc any) error {
		c := dc.(*conn)
		if yes = c.surplus() || r.expired(c, now); yes {
			c.retire.CompareAndSwap(int32(closeUnknown), int32(closeRecycled))
		}
		return nil
	})
	return yes
}

// checkout takes an idle connection if that makes nobody wait; else nil.
func (k *keeper) checkout(ctx context.Context) *sql.Conn {
	pc := &permitContext{Context: ctx}
	pc.permit.lane, pc.permit.name, pc.permit.asked = LaneProbe, "recycling", time.Now()
	pc.permit.deadline, pc.permit.keeping = pc.permit.asked.Add(maxPeriod), true
	if !k.p.gate.tryEnter(&pc.permit, pc.permit.asked) {
		return nil
	}
	held, err := look(k.p, pc, func() (*sql.Conn, error) { return k.p.db.Conn(pc) })
	if err != nil {
		return nil
	}
	return held
}

// free gets callers out of database/sql's own queue. One can end up there, see
// connector, while the connection meant for it lies free; whenever a connection
// is given back database/sql serves its queue first, so one is taken and given back.
func (k *keeper) free(ctx context.Context, now time.Time) {
	if !k.p.gate.anyStranded(now.Add(-k.period())) {
		return
	}
	if held := k.checkout(ctx); held != nil {
		_ = held.Close()
	}
}

// anyStranded reports whether somebody has had a permit since before then and
// no connection.
func (g *gate) anyStranded(then time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p := g.holders.first; p != nil && p.granted.Before(then); p = p.next {
		if p.conn.Load() == nil {
			return true
		}
	}
	return false
}

func (g *gate) anyOpen(is func(*conn) bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.open {
		if is(c) {
			return true
		}
	}
	return false
}

// Recycle replaces every connection that is open now, one after the other, each
// when it is idle or given back: after a password change, a failover, a new
// server behind the same name. It returns at once; no caller fails for it.
// Stats.Closed.Recycled counts the replaced ones.
func (p *Pool) Recycle() { p.dialer.generation.Add(1) }
