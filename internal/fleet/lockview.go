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

// elsewhere are the holders that are logged in as another role than this one.
func (s lockView) elsewhere(seen *Snapshot) map[uint32]bool {
	if len(seen.Role) == 0 {
		return nil
	}
	others := map[uint32]bool{}
	for pid := range s.tokens {
		others[pid] = true
	}
	for _, pid := range seen.Role {
		delete(others, pid)
	}
	return others
}

// ours counts the holders, of which those of elsewhere are of other roles.
func (s lockView) ours(elsewhere map[uint32]bool) Ours {
	ours := Ours{All: s.holders()}
	for pid := range elsewhere {
		if s.tokens[pid] != nil {
			ours.OtherRoles++
		}
	}
	return ours
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
