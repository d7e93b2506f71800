package fleet

import (
	"context"
	"math/rand/v2"
	"sync"
)

// Watcher counts the replicas of a service and proves whether they fit, without
// bounding anybody (DB_FLEET=warn). Its methods may be called from several goroutines.
type Watcher struct {
	keys Keys
	id   uint32

	mu     sync.Mutex // guards ask and recent
	ask    Ask
	recent [2]int // live replicas by the last looks
}

// NewWatcher returns a watcher for one replica of a service. ask.Replicas is
// how many are expected; 0 counts the live ones only.
func NewWatcher(opts Options, ask Ask) *Watcher {
	opts = opts.withDefaults()
	rnd := rand.New(rand.NewPCG(opts.Seed, 0))
	return &Watcher{keys: NewKeys(opts.KeySpace, opts.Service), ask: ask, id: rnd.Uint32() | 1}
}

// Keys is where the watcher's lock is.
func (w *Watcher) Keys() Keys { return w.keys }

// Resize changes what the replica asks for, from the next look on.
func (w *Watcher) Resize(poolSize, maxOverflow int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ask.PoolSize, w.ask.MaxOverflow = poolSize, maxOverflow
}

// Look makes the session of l this replica's presence and counts the others'.
// A replica whose session has just ended is counted for one look more.
func (w *Watcher) Look(ctx context.Context, l Locks) (Proof, error) {
	first, err := l.Do(ctx, Request{Look: true})
	if err != nil {
		return Proof{}, err
	}
	seen := first.Seen
	pooled := seen.PID != l.PID()
	if !pooled { // else a pooler changes the session, and the lock would stay behind
		second, err := l.Do(ctx, Request{Watch: w.id, Part: w.part(seen), Look: true})
		if err != nil {
			return Proof{}, err
		}
		seen = second.Seen
	}
	proof := w.prove(seen)
	proof.Pooled = pooled
	return proof, nil
}

// part is what the service claims of the server, for others to add up.
func (w *Watcher) part(seen *Snapshot) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ask.Budget == "" {
		return 0
	}
	return w.ask.Budget.Of(seen.Limits.Allowed())
}

func (w *Watcher) prove(seen *Snapshot) Proof {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.recent = [2]int{seen.replicas(w.keys), w.recent[0]}
	ask := w.ask
	ask.Replicas = max(1, ask.Replicas, w.recent[0], w.recent[1])
	return Proof{Limits: seen.Limits, Sessions: seen.Sessions, Ours: seen.Sessions.Peers, Ask: ask, Claimed: seen.claimed(w.keys), Takers: seen.Takers}
}

// replicas counts the live replicas of the service, watching or sharing.
func (s *Snapshot) replicas(keys Keys) int {
	live := map[uint32]bool{}
	for _, l := range s.Locks {
		k := kindOf(l.Class)
		if l.Database == s.Limits.Database && l.Class == keys.class(k) && (k == kindWatcher || k == kindMember) {
			live[l.Key] = true
		}
	}
	return len(live)
}
