package fleet

import (
	"context"
	"fmt"
	"math"
	"time"
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
	if first {
		f.noLocks, f.fixed = why, min(f.static(), most)
		f.retryLater()
	}
	share := f.fixed
	f.mu.Unlock()
	if first {
		f.opts.Log.Warn("fleet: the budget cannot be shared through advisory locks; each replica keeps to a fixed share",
			"service", f.opts.Service, "why", why, "share", share, "arithmetic", f.division())
	}
	f.changed()
}

func (f *Fleet) outside() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.noLocks != ""
}

const (
	retryFirst = 30 * time.Second // until it is tried whether locks can be used after all
	retryMost  = 10 * time.Minute
)

func (f *Fleet) retryLater() {
	f.retryAt = time.Now().Add(min(retryFirst<<min(f.retries, 5), retryMost))
	f.retries++
}

// enterOutside notes where a new session is while locks are not used.
func (f *Fleet) enterOutside(ctx context.Context, s *Session, l Locks) error {
	resp, err := l.Do(ctx, Request{Look: true})
	if err != nil {
		return err
	}
	if resp.Seen.PID == l.PID() {
		s.server = resp.Seen.Server
	}
	return nil
}

// retry tries whether the budget can be shared again: no pooler answers, and all
// sessions are on one server. Then the replica is a newcomer: sessions that
// hold no token are replaced as they are given back.
func (f *Fleet) retry(ctx context.Context, s *Session, l Locks) error {
	resp, err := l.Do(ctx, Request{Look: true})
	if err != nil {
		return err
	}
	f.mu.Lock()
	again := resp.Seen.PID == l.PID()
	for other := range f.sessions {
		again = again && (other == s || other.server == resp.Seen.Server)
	}
	if !again {
		f.retryLater()
		f.mu.Unlock()
		return nil
	}
	f.noLocks, f.moves, f.rejoined = "", nil, time.Now()
	f.settleAt(resp.Seen.Server)
	f.mu.Unlock()
	f.opts.Log.Info("fleet: the budget is shared through advisory locks again", "service", f.opts.Service)
	return f.claimFirst(ctx, s, l, resp.Seen)
}

// static is the share of each of the replicas that may run at once, and never
// more than each had while the budget was shared. Behind a pooler only a budget in
// plain numbers says how many connections there are to divide; without one the
// pool keeps to its own settings.
func (f *Fleet) static() int {
	share := StaticShare(f.opts.Part.Of(math.MaxInt32), f.opts.Replicas, f.opts.Surge)
	if f.plan.Tokens > 0 && f.size > 0 {
		share = min(share, StaticShare(f.plan.Tokens, max(f.size, f.opts.Replicas), 0))
	}
	return share
}

// division says where the static share comes from.
func (f *Fleet) division() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	replicas := max(1, f.size, f.opts.Replicas)
	switch {
	case f.plan.Tokens > 0 && (!f.opts.Part.Absolute() || f.fixed < StaticShare(f.opts.Part.Of(math.MaxInt32), f.opts.Replicas, f.opts.Surge)):
		return fmt.Sprintf("%d connections / %s, as last seen", f.plan.Tokens, Count(replicas, "replica"))
	case !f.opts.Part.Absolute():
		return "its own DB_POOL_SIZE and DB_MAX_OVERFLOW: set DB_FLEET_BUDGET to a number of connections, and DB_FLEET_REPLICAS, to divide them"
	}
	return fmt.Sprintf("DB_FLEET_BUDGET %s / (DB_FLEET_REPLICAS %d + DB_FLEET_SURGE %d)", f.opts.Part, max(1, f.opts.Replicas), f.opts.Surge)
}

// StaticShare divides connections among replicas and the surge of a rolling
// deploy; at least one each.
func StaticShare(connections, replicas, surge int) int {
	return max(1, connections/(max(1, replicas)+surge))
}
