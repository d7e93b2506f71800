package fleet

import (
	"cmp"
	"slices"
)

// lockView is a snapshot seen as one service's affair.
type lockView struct {
	tokens  map[uint32][]Token // by server process
	members map[uint32]uint32  // member by server process
	demand  map[uint32]uint32  // what each member said last; see demandValue
}

// lockViewOf sorts the locks of the service out: those of its name in its database.
func lockViewOf(seen *Snapshot, keys Keys) lockView {
	s := lockView{tokens: map[uint32][]Token{}, members: map[uint32]uint32{}, demand: map[uint32]uint32{}}
	said := map[Lock]bool{}
	for _, l := range seen.Locks {
		if !seen.Brief && l.Database != seen.Limits.Database || l.Class&^kindMask != keys.class(0) {
			continue
		}
		switch kindOf(l.Class) {
		case kindMember:
			s.members[l.PID] = l.Key
		case kindToken:
			if l.Key == 0 {
				continue // no token of ours
			}
			s.tokens[l.PID] = append(s.tokens[l.PID], Token(l.Key))
		case kindDemand:
			said[l] = true
		}
	}
	for l := range said {
		m := s.members[l.PID]
		if last, ok := s.demand[m]; !ok || newer(l.Key, last) {
			s.demand[m] = l.Key
		}
	}
	return s
}

// holders is how many sessions hold a token: they are the fleet's, and all
// other sessions are strangers'.
func (s lockView) holders() int { return len(s.tokens) }

// roles is which of the holders were logged in as another role than this one when
// everything was asked for last.
type roles struct {
	pids    map[uint32]bool // by process id: true for another role
	members map[uint32]bool // true if all sessions of the replica were of another role
}

// roles sorts the holders by role.
func (s lockView) roles(seen *Snapshot) roles {
	r := roles{map[uint32]bool{}, map[uint32]bool{}}
	for pid := range s.tokens {
		other := len(seen.Role) > 0 && !slices.Contains(seen.Role, pid)
		r.pids[pid] = other
		if m, ok := s.members[pid]; ok {
			before, known := r.members[m]
			r.members[m] = other && (before || !known)
		}
	}
	return r
}

// of tells the role of a session, which may have been opened since: a replica goes on
// as the role that its sessions had.
func (r roles) of(pid, member uint32) (other, known bool) {
	if other, known = r.pids[pid]; !known {
		other, known = r.members[member]
	}
	return other, known
}

// others is how many sessions were of other roles.
func (r roles) others() (n int) {
	for _, other := range r.pids {
		if other {
			n++
		}
	}
	return n
}

// ours counts the holders, and those of other roles among them. It is not certain when there
// are some of whose role nothing is known; they count as of this one.
func (s lockView) ours(r roles) (ours Ours, certain bool) {
	ours, certain = Ours{All: s.holders()}, true
	for pid := range s.tokens {
		other, known := r.of(pid, s.members[pid])
		if other {
			ours.OtherRoles++
		}
		certain = certain && known
	}
	return ours, certain
}

// view is what the replicas decide by. A token counts once, however many
// sessions of the replica hold it. How many tokens are held counts, not which:
// the headroom is whatever is free beyond the budget.
func (s lockView) view(p Plan) View {
	v := View{Budget: p.Tokens, Free: p.Tokens}
	members := map[uint32]*Member{}
	for _, id := range s.members {
		if members[id] == nil {
			members[id] = &Member{ID: id, Demand: demandOf(s.demand[id]), Said: s.demand[id]}
		}
	}
	counted := map[Token]bool{}
	for pid, tokens := range s.tokens {
		m := members[s.members[pid]]
		for _, t := range tokens {
			if !counted[t] {
				counted[t] = true
				v.count(m, int(t) > p.Tokens+p.Headroom)
			}
		}
	}
	for _, m := range members {
		v.Members = append(v.Members, *m)
	}
	slices.SortFunc(v.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return v
}

// count books a taken token. m is nil for a session that is no member (yet).
func (v *View) count(m *Member, over bool) {
	if !over {
		v.Free--
	}
	switch {
	case m == nil:
	case over:
		m.Over++
	default:
		m.Held++
	}
}
