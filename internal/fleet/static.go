package fleet

import (
	"fmt"
	"math"
)

// Why locks may say nothing.
const (
	// behindPooler: another server process answers than the one that the
	// connection was told, which is so behind PgBouncer in any mode.
	behindPooler = "a connection pooler stands between this service and the server"
	// severalServers: connections come and go between servers (load_balance_hosts).
	severalServers = "connections go to several servers, and none of them knows all"
)

// giveUpLocks falls back to a share by division: behind a proxy that hands the
// server's sessions around, a lock says nothing about who holds it.
func (f *Fleet) giveUpLocks(why string) {
	most := f.host.Load().Max
	f.mu.Lock()
	first := f.noLocks == ""
	f.noLocks = why
	share := min(f.static(), most)
	f.mu.Unlock()
	if first {
		f.opts.Log.Warn("fleet: the budget cannot be shared through advisory locks; each replica keeps to a fixed share",
			"service", f.opts.Service, "why", why, "share", share, "arithmetic", f.division())
	}
	f.changed()
}

// static is the share of each of the replicas that may run at once. Behind a
// pooler only a budget in plain numbers says how many there are to divide; without
// one the pool keeps to its own settings.
func (f *Fleet) static() int {
	return StaticShare(f.opts.Part.Of(math.MaxInt32), f.opts.Replicas, f.opts.Surge)
}

// division says where the static share comes from.
func (f *Fleet) division() string {
	if !f.opts.Part.Absolute() {
		return "its own DB_POOL_SIZE and DB_MAX_OVERFLOW: set DB_FLEET_BUDGET to a number of connections, and DB_FLEET_REPLICAS, to divide them"
	}
	return fmt.Sprintf("DB_FLEET_BUDGET %s / (DB_FLEET_REPLICAS %d + DB_FLEET_SURGE %d)", f.opts.Part, max(1, f.opts.Replicas), f.opts.Surge)
}

// StaticShare divides connections among replicas and the surge of a rolling
// deploy; at least one each.
func StaticShare(connections, replicas, surge int) int {
	return max(1, connections/(max(1, replicas)+surge))
}
