package fleet

import (
	"cmp"
	"slices"
)

// A fleet whose replicas log in as several roles has the server's budget, whatever
// one of the roles may use: all plan with the same tokens. A role's limit bounds
// what the replicas of that role hold together. They decide that among themselves,
// as a fleet within the fleet, and tell the others no more demand than the limit
// leaves them, so that nobody keeps a token for a replica that could not use it.

// shared is the limits of the server and the database alone.
func (l Limits) shared() Limits {
	l.RoleLimit = -1
	return l
}

// bounds reports whether a limit of this role bounds a part of the fleet only.
func (l Limits) bounds(ours Ours) bool {
	return l.RoleLimit >= 0 && !l.Superuser && ours.OtherRoles > 0
}

// ofRole is what the limit of the role leaves for the fleet's sessions of it.
func (l Limits) ofRole(s Sessions, ours Ours) int {
	return max(0, l.RoleLimit-max(0, s.Role-(ours.All-ours.OtherRoles)))
}

// learnRole takes in what the role's limit leaves to the replicas of this role. seen is all
// members.
func (f *Fleet) learnRole(seen *Snapshot, ours Ours) {
	if !seen.Limits.bounds(ours) {
		f.role, f.roleRoom, f.most = nil, nil, 0
		return
	}
	f.roleRoom = lastThree(f.roleRoom, seen.Limits.ofRole(seen.Sessions, ours))
	p := plan(slices.Max(f.roleRoom), f.opts.Surge, false)
	v := View{Budget: p.Tokens, Free: p.Tokens, Clock: f.view.Clock}
	for _, m := range f.view.Members {
		if !f.roles.members[m.ID] {
			v.Members = append(v.Members, m)
			v.Free -= m.Held + m.Over
		}
	}
	f.role = &v
	all, me := v.with(f.id, f.max)
	f.most = max(1, all.Targets()[me])
}

// with is the view with another demand of one member, who may be new, and where that is.
func (v View) with(id uint32, demand int) (View, int) {
	at, found := slices.BinarySearchFunc(v.Members, id, func(m Member, id uint32) int { return cmp.Compare(m.ID, id) })
	v.Members = slices.Clone(v.Members)
	if !found {
		v.Members = slices.Insert(v.Members, at, Member{ID: id})
	}
	v.Members[at].Demand = demand
	return v, at
}

// free is how many tokens this replica may count as free; negative while a headroom is in use.
func (f *Fleet) free() int {
	if f.role != nil {
		return min(f.view.Free, f.role.Free)
	}
	return f.view.Free
}

// move is what to do about what was seen, within the role's limit.
func (f *Fleet) move() Move {
	m := f.view.Decide(f.id)
	if f.role != nil {
		ofRole := f.role.Decide(f.id)
		m = Move{Claim: min(m.Claim, ofRole.Claim), Give: max(m.Give, ofRole.Give)}
	}
	return m
}

// lastThree puts n in front of what was found by the looks before.
func lastThree(before []int, n int) []int {
	return append([]int{n}, before...)[:min(3, len(before)+1)]
}
