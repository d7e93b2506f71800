package fleet

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// members makes a view of demands; IDs are 1, 2, …
func demands(budget int, demand ...int) View {
	v := View{Budget: budget, Free: budget}
	for i, d := range demand {
		v.Members = append(v.Members, Member{ID: uint32(i + 1), Demand: d})
	}
	return v
}

// holding says what each of v's members has.
func (v View) holding(held ...int) View {
	for i, h := range held {
		v.Members[i].Held = h
		v.Free -= h
	}
	return v
}

func TestTargets(t *testing.T) {
	for name, test := range map[string]struct {
		v    View
		want []int
	}{
		"nobody":                          {demands(5), []int{}},
		"enough for all":                  {demands(10, 3, 2, 1), []int{3, 2, 1}},
		"even":                            {demands(16, 10, 10, 10, 10, 10, 10, 10, 10), []int{2, 2, 2, 2, 2, 2, 2, 2}},
		"the idle keep one":               {demands(10, 0, 9, 9), []int{1, 5, 4}},
		"what the modest leave is shared": {demands(12, 2, 9, 9), []int{2, 5, 5}},
		"the remainder starts with one":   {demands(5, 9, 9, 9), []int{2, 2, 1}},
		"more replicas than tokens":       {demands(2, 9, 9, 9), []int{1, 1, 0}},
		"then the idle keep nothing":      {demands(2, 0, 9, 9), []int{0, 1, 1}},
		"more replicas, but little to do": {demands(2, 0, 0, 1), []int{0, 0, 1}},
		"demand is never exceeded":        {demands(100, 1, 1, 1), []int{1, 1, 1}},
		"no budget":                       {demands(0, 4, 4), []int{0, 0}},
		"order of demand is not of ID":    {demands(12, 9, 2, 9), []int{5, 2, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.v.Targets(); !slices.Equal(got, test.want) {
				t.Errorf("%v; want %v", got, test.want)
			}
		})
	}
}

func TestRemainderGoesRoundWithTheServersClock(t *testing.T) {
	v := demands(12, 9, 9, 9, 9, 9, 9, 9, 9)
	sums := make([]int, 8)
	for turn := range 8 {
		v.Clock = time.Duration(turn) * remainderTurn
		for i, n := range v.Targets() {
			sums[i] += n
		}
	}
	if want := []int{12, 12, 12, 12, 12, 12, 12, 12}; !slices.Equal(sums, want) {
		t.Errorf("over eight turns: %v; want %v", sums, want)
	}
}

// large is a fleet of 50 that cannot share 75 tokens evenly.
func large() View {
	rnd := rand.New(rand.NewPCG(1, 0))
	v := View{Budget: 75}
	for range 50 {
		v.Members = append(v.Members, Member{ID: rnd.Uint32(), Demand: 9})
	}
	slices.SortFunc(v.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return v
}

func TestLotsAreFair(t *testing.T) {
	const turns = 4000
	v := large()
	sums := make([]int, len(v.Members))
	for turn := range turns {
		v.Clock = time.Duration(turn) * 4 * remainderTurn // of 32 to 63 members
		for i, n := range v.Targets() {
			sums[i] += n
		}
	}
	if least, most := slices.Min(sums), slices.Max(sums); least < turns*3/2*95/100 || most > turns*3/2*105/100 {
		t.Errorf("over %d turns of a token or two: %d to %d", turns, least, most)
	}
}

// Two members of a large fleet that see it a little differently agree on nearly all, or they
// would move tokens to and fro.
func TestViewsOfALargeFleetAgree(t *testing.T) {
	v := large()
	was := v.Targets()
	differ := func(other View) (n int) {
		for i, m := range other.Members {
			at := slices.IndexFunc(v.Members, func(o Member) bool { return o.ID == m.ID })
			if other.Targets()[i] != was[at] {
				n++
			}
		}
		return n
	}
	for turn := range 100 {
		v.Clock = time.Duration(turn) * time.Minute
		was = v.Targets()
		fewer, gone := v, v
		fewer.Budget--
		gone.Members = slices.Delete(slices.Clone(v.Members), 7, 8)
		if a, b := differ(fewer), differ(gone); a > 1 || b > 2 {
			t.Fatalf("at %v: with a token less %d targets differ, without a member %d", v.Clock, a, b)
		}
	}
}

// TestTargetsAreFair checks for random fleets what Targets promises.
func TestTargetsAreFair(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		v := View{Budget: rnd.IntN(40), Clock: time.Duration(rnd.Int64N(int64(time.Hour)))}
		for i := range rnd.IntN(30) {
			v.Members = append(v.Members, Member{ID: uint32(i), Demand: rnd.IntN(12)})
		}
		targets := v.Targets()
		sum, unmet, least, most := 0, false, 1<<30, 0
		for i, n := range targets {
			d := v.demand(i)
			if n > d || n < 0 {
				t.Fatalf("seed %d: member %d has %d of %d it can use", seed, i, n, d)
			}
			sum, most = sum+n, max(most, n)
			if n < d {
				unmet, least = true, min(least, n)
			}
		}
		switch {
		case sum > v.Budget:
			t.Fatalf("seed %d: %d of %d shared out", seed, sum, v.Budget)
		case unmet && sum < v.Budget:
			t.Fatalf("seed %d: somebody lacks and %d are left", seed, v.Budget-sum)
		case unmet && most > least+1:
			t.Fatalf("seed %d: one has %d although another is held to %d: %v", seed, most, least, targets)
		}
	}
}

func TestDecide(t *testing.T) {
	over := func(v View, at, n int) View { v.Members[at].Over = n; return v }
	for name, test := range map[string]struct {
		v    View
		want []Move
	}{
		"take what is free":              {demands(8, 5, 1).holding(2, 1), []Move{{Claim: 3}, {}}},
		"not more than needed":           {demands(8, 3, 1).holding(2, 1), []Move{{Claim: 1}, {}}},
		"leave what is another's":        {demands(6, 9, 9).holding(3, 2), []Move{{}, {Claim: 1}}},
		"give what another lacks":        {demands(6, 9, 9).holding(5, 1), []Move{{Give: 2}, {}}},
		"not if enough is free":          {demands(6, 9, 9).holding(4, 1), []Move{{Give: 1}, {Claim: 1}}},
		"keep what nobody lacks":         {demands(8, 0, 1).holding(5, 1), []Move{{}, {}}},
		"the one furthest above gives":   {demands(9, 9, 9, 9).holding(5, 4, 0), []Move{{Give: 2}, {Give: 1}, {}}},
		"idle tokens are given":          {demands(8, 0, 9).holding(4, 4), []Move{{Give: 3}, {}}},
		"the headroom serves a newcomer": {over(demands(4, 9, 9).holding(4, 0), 1, 1), []Move{{Give: 2}, {}}},
		"and is left when there is room": {over(demands(4, 2, 9).holding(2, 0), 1, 1), []Move{{}, {Claim: 2}}},
		"a smaller budget takes effect":  {over(demands(4, 9, 9).holding(2, 2), 0, 1), []Move{{Give: 1}, {}}},
		"turns when there are too many":  {over(demands(2, 9, 9, 9).holding(1, 1, 0), 2, 1), []Move{{}, {}, {Give: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			for i, want := range test.want {
				if got := test.v.Decide(uint32(i + 1)); got != want {
					t.Errorf("member %d: %+v; want %+v", i+1, got, want)
				}
			}
		})
	}
	if got := demands(4, 9).Decide(77); got != (Move{}) {
		t.Errorf("who is not seen does nothing: %+v", got)
	}
}

// TestTogetherTheyMoveExactlyWhatIsLacking: members that decide by one view give
// as much as is lacking, and claim as much as is free for those who lack. Where
// too little is free they race for it, and the server decides.
func TestTogetherTheyMoveExactlyWhatIsLacking(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		v := View{Budget: 1 + rnd.IntN(40)}
		v.Free = v.Budget
		for i := range 1 + rnd.IntN(12) {
			held := rnd.IntN(v.Free + 1)
			v.Free -= held
			v.Members = append(v.Members, Member{ID: uint32(i), Held: held, Demand: rnd.IntN(12)})
		}
		claim, give := 0, 0
		for _, m := range v.Members {
			move := v.Decide(m.ID)
			claim, give = claim+move.Claim, give+move.Give
		}
		if short := v.short(v.Targets()); claim > v.Free && short <= v.Free || give != max(0, short-v.Free) || claim < min(short, v.Free) {
			t.Fatalf("seed %d: %d claimed of %d free, %d given for %d short: %+v", seed, claim, v.Free, give, short, v)
		}
	}
}
