package fleet

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// Member is one live replica as every other sees it in pg_locks.
type Member struct {
	ID     uint32
	Held   int    // tokens of the budget and the headroom
	Over   int    // tokens beyond them, left from a larger budget
	Demand int    // sessions it could use
	Said   uint32 // how it said so last; see demandValue
}

// View is the fleet at one moment. Replicas that see the same view come to the
// same decision, so they need not talk.
type View struct {
	Budget  int           // tokens 1 to Budget may be shared out
	Free    int           // of those, held by nobody; negative while the headroom is in use
	Members []Member      // by ID
	Clock   time.Duration // the server's clock: the only one there is
}

// How long a token that cannot be divided evenly stays where it is: with 12
// tokens for 8 replicas, four have two, and others have them next. When there
// are more replicas than tokens, that is a replica's turn to work at all.
const (
	remainderTurn = 10 * time.Second
	scarceTurn    = time.Second
)

// Targets is how many tokens each member should have: max-min fair, so nobody
// gets more than it can use, what one leaves is shared by the rest, and nobody
// can be given more without taking from one that has less. The sum never
// exceeds the budget. While there is a token for everybody, everybody may keep one.
func (v View) Targets() []int {
	targets := make([]int, len(v.Members))
	left, hungry := v.Budget, len(v.Members)
	for _, i := range v.byDemand() {
		d := v.demand(i)
		if d > left/hungry {
			break
		}
		targets[i], left, hungry = d, left-d, hungry-1
	}
	if hungry > 0 {
		v.shareRest(targets, left, hungry)
	}
	return targets
}

// largeFleet is how many hungry members have turns by lot, see shareRest.
const largeFleet = 16

// shareRest divides left among the hungry: the members with the most demand.
// What does not divide evenly goes round with the server's clock.
//
// In a large fleet there is always somebody who has just come or gone, and two views
// are hardly ever the same. Whose turn it is must then depend on no number of members
// or tokens, or each view had turns of its own: lots are drawn, for longer.
func (v View) shareRest(targets []int, left, hungry int) {
	level, extra := left/hungry, left%hungry
	rest := v.byDemand()[len(v.Members)-hungry:]
	slices.Sort(rest) // by ID
	first := 0
	switch {
	case level == 0:
		first = int(v.Clock/scarceTurn) % hungry
	case hungry <= largeFleet:
		first = int(v.Clock/remainderTurn) % hungry
	default:
		turn := uint32(v.Clock / (remainderTurn << bits.Len(uint(hungry/largeFleet))))
		lot := func(i int) uint32 { return (v.Members[i].ID ^ turn*0x9E3779B1) * 0x85EBCA6B }
		slices.SortFunc(rest, func(a, b int) int { return cmp.Compare(lot(a), lot(b)) })
	}
	for n, i := range rest {
		targets[i] = level
		if (n-first+hungry)%hungry < extra {
			targets[i]++
		}
	}
}

func (v View) demand(i int) int {
	if len(v.Members) <= v.Budget {
		return max(1, v.Members[i].Demand)
	}
	return v.Members[i].Demand
}

// byDemand is the members' indices, smallest demand first, then by ID.
func (v View) byDemand() []int {
	order := make([]int, len(v.Members))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(v.demand(a)-v.demand(b), a-b) })
	return order
}

// Move is what a replica does about what it saw: claim tokens or give some back.
type Move struct{ Claim, Give int }

// Decide is the whole policy. Up to its target a member takes what is free;
// beyond it only what those below theirs leave. Above its target it gives back
// only what somebody is short of, or what is missing of the headroom, the members
// furthest above first. A token beyond is kept only by a member below its target,
// until one of the budget comes free.
func (v View) Decide(self uint32) Move {
	me := slices.IndexFunc(v.Members, func(m Member) bool { return m.ID == self })
	if me < 0 {
		return Move{}
	}
	targets := v.Targets()
	m := v.Members[me]
	lacking, short := max(0, targets[me]-m.Held), v.short(targets)
	leftOver := v.Free - (short - lacking)
	return Move{
		Claim: max(0, min(max(lacking, leftOver), v.demand(me)-m.Held, v.Free)),
		Give:  max(v.surplus(targets, short-v.Free)[me], m.Over-lacking),
	}
}

// short is how many tokens the members below their targets lack together.
func (v View) short(targets []int) int {
	short := 0
	for i, m := range v.Members {
		short += max(0, targets[i]-m.Held)
	}
	return short
}

// Plenty is how many free tokens nobody has a claim to; negative when tokens
// must be given back for those who have.
func (v View) Plenty() int { return v.Free - v.short(v.Targets()) }

// surplus says how many tokens each member gives so that missing come free.
func (v View) surplus(targets []int, missing int) []int {
	give := make([]int, len(v.Members))
	for ; missing > 0; missing-- {
		most, at := 0, 0
		for i, m := range v.Members {
			if above := m.Held - targets[i] - give[i]; above > most {
				most, at = above, i
			}
		}
		if most == 0 {
			break
		}
		give[at]++
	}
	return give
}
