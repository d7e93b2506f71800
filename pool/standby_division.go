package pool

import (
	"github.com/dbpool-go/dbpool/config"
)

// How one limit is divided between the primary and the standbys: the sessions at
// all servers together, in any state, never exceed PoolSize + MaxOverflow. A side
// that is to have less gives up first; the other gets what has come free.

// resize divides what PoolSize and MaxOverflow are from now on.
func (b *standbys) resize(cfg config.Config) {
	b.mu.Lock()
	b.cfg.PoolSize, b.cfg.MaxOverflow = cfg.PoolSize, cfg.MaxOverflow
	b.mu.Unlock()
	b.divide()
	b.poke()
}

// most returns the most connections that the pool may have at the primary, and how
// many of them are kept. While no standby can be used that is all but one.
func (p *Pool) most() (maxOpen, poolSize int) {
	if p.standbys == nil {
		return p.gate.Settings()
	}
	b := p.standbys
	b.mu.Lock()
	defer b.mu.Unlock()
	poolSize, maxOpen = b.sizes(p, b.cfg.MaxOpen()-1)
	return maxOpen, poolSize
}

// divide gives each side its part, as far as that is free. It reports whether
// both have theirs.
func (b *standbys) divide() (done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	most, standby := b.cfg.MaxOpen(), 1 // which looks whether the standbys are back
	if b.use.Load().ok {
		standby = b.cfg.ReadPart()
	}
	primary := most - standby
	b.set(b.home, min(primary, limitOf(b.home)))
	b.set(b.p, min(standby, limitOf(b.p)))
	b.set(b.home, min(primary, max(limitOf(b.home), most-occupied(b.p))))
	b.set(b.p, min(standby, max(limitOf(b.p), most-occupied(b.home))))
	return limitOf(b.home) == primary && limitOf(b.p) == standby
}

// set sets the limit of one side.
func (b *standbys) set(p *Pool, limit int) {
	size, limit := b.sizes(p, limit)
	if most, kept := p.gate.Settings(); most != limit || kept != size {
		p.limit(size, limit)
	}
}

// sizes returns how many connections of one side are kept when its limit is limit.
func (b *standbys) sizes(p *Pool, limit int) (size, _ int) {
	most := b.cfg.MaxOpen()
	atStandby := func(part int) int { return max(1, min(part, b.cfg.PoolSize*part/most)) }
	if p == b.p {
		return atStandby(limit), limit
	}
	return max(1, min(limit, b.cfg.PoolSize-atStandby(most-limit))), limit
}

// limitOf is how many sessions one side may have.
func limitOf(p *Pool) int {
	most, _ := p.gate.Settings()
	return most
}

// occupied is how many sessions one side may have, or still has.
func occupied(p *Pool) int { return max(limitOf(p), p.gate.Sessions()) }

// whenFewer is closed when one side has given up a session that is the other's.
func (b *standbys) whenFewer() <-chan struct{} {
	for _, p := range []*Pool{b.home, b.p} {
		if n := p.gate.Sessions(); n > limitOf(p) {
			return p.gate.WhenSessions(n - 1)
		}
	}
	now := make(chan struct{})
	close(now)
	return now
}
