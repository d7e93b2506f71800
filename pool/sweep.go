package pool

import (
	"context"
	"database/sql"
	"time"
)

// sweep replaces idle connections that are due. database/sql hands out the most
// recently used first, so those at the bottom of its list are reached by
// checking out all that are idle, for the few microseconds that takes. It says
// when to come back at the latest.
func (k *keeper) sweep(ctx context.Context, now time.Time) (next time.Duration) {
	next, due := k.p.recycler.soonest(now)
	if !due {
		return next
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
	return next
}

// retired marks the connection for replacement if it is its turn; it is closed
// when it is given back.
func retired(held *sql.Conn, r *recycler, now time.Time) (yes bool) {
	_ = held.Raw(func(dc any) error {
		c := dc.(*conn)
		reason := closeUnknown
		if c.surplus() {
			reason = closeSurplus
		} else if r.expired(c, now) {
			reason = closeRecycled
		}
		c.retireFor(reason)
		yes = reason != closeUnknown
		return nil
	})
	return yes
}

// checkout takes an idle connection if that makes nobody wait; else nil.
func (k *keeper) checkout(ctx context.Context) *sql.Conn { return k.take(ctx, k.p.gate.tryEnter) }

// take takes a connection with a permit of the keeper's. It does not wait: the
// one that it was let in for may have gone to somebody else in the meantime.
func (k *keeper) take(ctx context.Context, enter func(*permit, time.Time) bool) *sql.Conn {
	ctx, cancel := context.WithTimeout(ctx, minPeriod)
	defer cancel()
	p := &permit{Context: ctx, lane: LaneProbe, name: "recycling", asked: time.Now(), patience: minPeriod, keeping: true, owner: true}
	if !enter(p, p.asked) {
		return nil
	}
	held, err := look(k.p, p, func() (*sql.Conn, error) { return k.p.db.Conn(p) })
	if err != nil {
		return nil
	}
	return held
}

// free gets callers out of database/sql's own queue. One can end up there, see
// connector, while the connection meant for it lies free; whenever a connection
// is given back database/sql serves its queue first, so one is taken and given back.
func (k *keeper) free(ctx context.Context, now time.Time) {
	if !k.p.gate.anyStranded(now.Add(-k.period())) || k.p.db.Stats().Idle == 0 {
		return // else somebody is taking a long look at the connection that seems to be free
	}
	if held := k.take(ctx, k.p.gate.forceEnter); held != nil {
		_ = held.Close()
	}
}

// anyStranded reports whether somebody has had a permit since before then and
// no connection, although one is free.
func (g *gate) anyStranded(then time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	free := len(g.open) - len(g.supply.spares)
	stranded := false
	for p := g.holders.first; p != nil; p = p.next {
		if p.conn.Load() != nil {
			free--
		} else if p.grantedAt().Before(then) {
			stranded = true
		}
	}
	return stranded && free > 0
}

// forceEnter grants a permit of the keeper's for a connection that is meant for
// somebody who does not find it.
func (g *gate) forceEnter(p *permit, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.grantLocked(p, now)
	return true
}

// heldConns is which connections callers hold.
func (g *gate) heldConns() map[*conn]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := make(map[*conn]bool, g.holders.n)
	for p := g.holders.first; p != nil; p = p.next {
		held[p.conn.Load()] = true
	}
	return held
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
