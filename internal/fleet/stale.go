package fleet

import "time"

// staleMember is a replica that lacks tokens and has not been heard of since.
type staleMember struct {
	seen  Member // as it has been
	since time.Time
}

// patience is how many looks of a busy replica one that is below its share may
// be silent for: a replica that lacks something repeats its demand at every look.
const patience = 3

// discount believes a silent replica no longer that it wants more. It is cut
// off and nobody knows yet, or all its sessions are busy; what it could have is
// used by others until it speaks again.
func (f *Fleet) discount() {
	stale := map[uint32]staleMember{}
	targets := f.view.Targets()
	for i, m := range f.view.Members {
		if m.ID == f.id || m.Held >= targets[i] {
			continue
		}
		s, known := f.stale[m.ID]
		if !known || s.seen != m {
			s = staleMember{m, time.Now()}
		}
		stale[m.ID] = s
	}
	f.stale = stale
	for i, m := range f.view.Members {
		if s, known := stale[m.ID]; known && time.Since(s.since) > patience*f.steadyInterval() {
			f.view.Members[i].Demand = m.Held
		}
	}
}
