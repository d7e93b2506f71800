package serverview

import (
	"cmp"
	"slices"
)

// Blocker is a session at the end of a chain of lock waits: others wait for it,
// directly or not, and it waits for nobody.
type Blocker struct {
	LockHolder          // a PID of 0 is a prepared transaction
	Blocks     []uint32 // who waits for it
}

// Blockers are the ends of the chains, the one that blocks most first. Ending
// one of them helps; ending anybody else in the chain does not.
func (v *View) Blockers() []Blocker {
	waits := map[uint32]LockWait{}
	for _, w := range v.LockWaits {
		waits[w.PID] = w
	}
	found := map[uint32]*Blocker{}
	for _, w := range v.LockWaits {
		for _, root := range roots(w.PID, waits) {
			b := found[root.PID]
			if b == nil {
				b = &Blocker{LockHolder: root}
				found[root.PID] = b
			}
			b.Blocks = append(b.Blocks, w.PID)
		}
	}
	out := make([]Blocker, 0, len(found))
	for _, b := range found {
		out = append(out, *b)
	}
	slices.SortFunc(out, func(a, b Blocker) int {
		return cmp.Or(cmp.Compare(len(b.Blocks), len(a.Blocks)), cmp.Compare(a.PID, b.PID))
	})
	return out
}

// roots walks from a waiting session to whoever is in its way and waits for
// nobody. A circle has no end: the server will break it.
func roots(pid uint32, waits map[uint32]LockWait) []LockHolder {
	var out []LockHolder
	seen := map[uint32]bool{}
	next := []uint32{pid}
	for len(next) > 0 {
		w := waits[next[0]]
		next = next[1:]
		for _, by := range w.BlockedBy {
			if seen[by] {
				continue
			}
			seen[by] = true
			if h := w.holder(by); !h.Waits {
				out = append(out, h)
			} else {
				next = append(next, by)
			}
		}
	}
	return out
}

// holder describes one of those in w's way, who may be gone meanwhile.
func (w LockWait) holder(pid uint32) LockHolder {
	for _, h := range w.HeldBy {
		if h.PID == pid {
			return h
		}
	}
	return LockHolder{PID: pid, State: "hidden"}
}
