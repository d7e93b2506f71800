package fleet

// Status is what a replica knows of its fleet. It is a value.
type Status struct {
	Plan     Plan   // how the service's part of the server is divided
	Replicas int    // live ones that share it
	Tokens   int    // this replica's: in use, being dialed and reserved
	Target   int    // how many it should have by the last look
	Share    int    // the most sessions it may have now
	NoLocks  string // why the budget is divided by number instead; empty while locks keep it
}

// Status returns what is known now.
func (f *Fleet) Status() Status {
	share := f.Share()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Status{Plan: f.plan, Replicas: len(f.view.Members), Tokens: f.owned(), Share: share, NoLocks: f.noLocks}
	for i, m := range f.view.Members {
		if m.ID == f.id {
			s.Target = f.view.Targets()[i]
		}
	}
	return s
}

// Proof is the arithmetic by the last look; ok is false before the first.
func (f *Fleet) Proof(poolSize, maxOverflow int) (p Proof, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ask := Ask{
		Replicas: max(1, len(f.view.Members), f.opts.Replicas), Surge: f.opts.Surge,
		PoolSize: poolSize, MaxOverflow: maxOverflow, Budget: f.opts.Part, Enforced: true,
	}
	switch {
	case f.noLocks == behindPooler:
		return Proof{Ask: ask, Pooled: true}, true
	case f.seen == nil:
		return Proof{}, false
	}
	// A session that enters or ends has no token for a moment, and is no stranger.
	ours := max(lockViewOf(f.seen, f.keys).holders(), f.seen.Sessions.Peers)
	return Proof{Limits: f.seen.Limits, Sessions: f.seen.Sessions, Ours: ours, Claimed: f.seen.claimed(f.keys), Ask: ask,
		Others: f.roles.others(), Takers: f.seen.Takers}, true
}

// claimed is what other services say is theirs. Each says it on the session
// that spoke last, and may have said less before.
func (s *Snapshot) claimed(keys Keys) int {
	type service struct {
		database string
		number   uint32
	}
	parts := map[service]int{}
	for _, l := range s.Locks {
		who := service{l.Database, serviceOf(l.Class)}
		if kindOf(l.Class) == kindPart && who != (service{s.Limits.Database, keys.service}) {
			parts[who] = max(parts[who], int(l.Key))
		}
	}
	sum := 0
	for _, n := range parts {
		sum += n
	}
	return sum
}
