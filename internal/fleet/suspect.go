package fleet

import "time"

// suspect is a replica that lacks tokens and has not been heard of since.
type suspect struct {
	seen  Member // as it has been
	since time.Time
}

// patience is how many looks of a calm replica one that is below its share may
// be silent for: who lacks something repeats its demand at every look.
const patience = 3

// discount believes a silent replica no longer that it wants more. It is cut
// off and nobody knows yet, or all its sessions are busy; what it could have is
// used by others until it speaks again.
func (f *Fleet) discount() {
	suspects := map[uint32]suspect{}
	targets := f.view.Targets()
	for i, m := range f.view.Members {
		if m.ID == f.id || m.Held >= targets[i] {
			continue
		}
		s, known := f.suspects[m.ID]
		if !known || s.seen != m {
			s = suspect{m, time.Now()}
		}
		suspects[m.ID] = s
	}
	f.suspects = suspects
	for i, m := range f.view.Members {
		if s, known := suspects[m.ID]; known && time.Since(s.since) > patience*f.calmInterval() {
			f.view.Members[i].Demand = m.Held
		}
	}
}
