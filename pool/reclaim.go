package pool

import "time"

// silence is how long a holder has been seen to exchange nothing with the server.
type silence struct {
	traffic uint32
	since   time.Time
}

// reclaim takes connections away from holders that have long done nothing with
// them, if that was asked for.
func (k *keeper) reclaim(now time.Time) {
	if k.p.cfg.ReclaimAfter == 0 {
		return
	}
	k.p.forgetStrays()
	seen := make(map[*permit]silence)
	for _, p := range k.p.gate.oldest(0) {
		c := p.conn.Load()
		if c == nil {
			continue
		}
		s, known := k.silent[p]
		if n := c.said.traffic.Load(); !known || s.traffic != n || c.busy() {
			s = silence{traffic: n, since: now}
		}
		seen[p] = s
		if now.Sub(s.since) >= k.p.cfg.ReclaimAfter && k.p.takeAway(p, c, now) {
			k.p.log.Warn("connection reclaimed", holderAttrs(k.p.cfg.Name, k.p.describe(p, now))...)
		}
	}
	k.silent = seen
}

// busy reports whether a statement runs, or its rows are open. What a function
// given to sql.Conn.Raw does with pgx shows in the traffic only.
func (c *conn) busy() bool {
	a := c.activity.Load()
	return a == activityRunning || a == activityRows ||
		c.said.isRunning() && !c.socket.farewell.Load()
}

// takeAway ends the session of a holder that runs nothing, and gives its place
// to others. The holder is left with a stray: a connection that is good for
// nothing but being given back, which may never happen. Until then
// database/sql counts it as open, so its own limit rises by one.
func (p *Pool) takeAway(k *permit, c *conn, now time.Time) bool {
	p.resizing.Lock()
	defer p.resizing.Unlock()
	if !p.gate.takeAway(k, c, now) {
		return false
	}
	p.relimitSQL()
	c.socket.hangUp() // whoever gets the place cannot come before this
	p.released(k)
	return true
}

// forgetStrays takes back what takeAway allowed database/sql for strays that
// have been given back since.
func (p *Pool) forgetStrays() {
	p.resizing.Lock()
	defer p.resizing.Unlock()
	p.relimitSQL()
}

// relimitSQL sets database/sql's limit anew when only the strays have changed.
func (p *Pool) relimitSQL() {
	configured, _ := p.gate.settings()
	p.limitSQL(configured)
}

// takeAway makes c a stray and takes its permit back. Whoever wins the race for
// activity, the holder's next statement or this, excludes the other.
func (g *gate) takeAway(k *permit, c *conn, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := c.activity.Load()
	if k.state != permitHeld || k.conn.Load() != c || was != activityIdle && was != activityTx ||
		!c.activity.CompareAndSwap(was, activityReclaimed) {
		return false
	}
	c.retireFor(closeUnclean)
	c.stray = true
	g.strays++
	g.lostLocked(c)
	k.warned = false // that it was taken is the end of the story
	g.settleLocked(k, now)
	return true
}

func (g *gate) strayCount() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.strays
}

// strayReturned notes that a holder gave back what had been taken away from it.
func (g *gate) strayReturned(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.stray {
		c.stray = false
		g.strays--
	}
}
