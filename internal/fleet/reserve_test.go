package fleet

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// lockViewWith is what a look shows of members, with a session and a token each.
func lockViewWith(members ...uint32) lockView {
	s := lockView{tokens: map[uint32][]Token{}, members: map[uint32]uint32{}, demand: map[uint32]uint32{}}
	for _, id := range members {
		s.members[id], s.tokens[id] = id, []Token{Token(id)}
	}
	return s
}

// TestTokensAreSetAsideForWhoComesBack has replicas disappear and come back, as
// the looks of another show it.
func TestTokensAreSetAsideForWhoComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(nil, Options{Service: "orders"})
		f.id, f.sessions = 1, map[*Session]struct{}{{token: 1}: {}}
		look := func(budget, free int, members ...uint32) {
			t.Helper()
			f.learn(&Snapshot{Limits: Limits{MaxConnections: 10, RoleLimit: -1, DatabaseLimit: -1}, Sessions: Sessions{Server: len(members)}}, lockViewWith(members...), Ours{All: len(members)})
			if f.view.Budget != budget || f.view.Free != free {
				t.Errorf("budget %d, %d free; want %d, %d", f.view.Budget, f.view.Free, budget, free)
			}
		}
		look(9, 6, 1, 2, 3)
		if !f.calm() {
			t.Error("not calm, with all there")
		}
		look(8, 6, 1, 2) // of the seven that are free one is the third's
		if f.calm() {
			t.Error("calm while one is waited for")
		}
		time.Sleep(comeBack(3) + 2*f.interval() - 1)
		look(8, 6, 1, 2)
		look(9, 6, 1, 2, 3) // it is back
		look(8, 6, 1, 2)
		time.Sleep(comeBack(3) + 2*f.interval())
		look(9, 7, 1, 2) // gone for good
	})
}

// TestNobodyIsAwaitedInACrowd has more replicas than tokens: they have turns.
func TestNobodyIsAwaitedInACrowd(t *testing.T) {
	f := New(nil, Options{Service: "orders"})
	for _, members := range [][]uint32{{1, 2, 3}, {1, 2}} {
		f.learn(&Snapshot{Limits: Limits{MaxConnections: 3, RoleLimit: -1, DatabaseLimit: -1}, Sessions: Sessions{Server: len(members)}}, lockViewWith(members...), Ours{All: len(members)})
		if f.view.Budget != 2 {
			t.Errorf("%d members: budget %d", len(members), f.view.Budget)
		}
	}
}

// TestReplicasThatStartTogetherAreNoCrowd sees others come just after this replica
// came itself, and two more when it has long been there.
func TestReplicasThatStartTogetherAreNoCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(nil, Options{Service: "orders"})
		f.id, f.rejoined, f.sessions = 1, time.Now(), map[*Session]struct{}{{token: 1}: {}}
		look := func(aside int, members ...uint32) {
			t.Helper()
			f.learn(&Snapshot{Limits: Limits{MaxConnections: 20, RoleLimit: -1, DatabaseLimit: -1}, Sessions: Sessions{Server: len(members)}}, lockViewWith(members...), Ours{All: len(members)})
			if got := f.plan.Tokens - f.view.Budget; got != aside {
				t.Errorf("%d tokens are set aside; want %d", got, aside)
			}
		}
		look(0, 1)
		time.Sleep(50 * time.Millisecond)
		look(0, 1, 2, 3, 4)
		time.Sleep(settleTime - 40*time.Millisecond)
		look(0, 1, 2, 3, 4)
		time.Sleep(settleTime)
		look(2, 1, 2, 3, 4, 5, 6)
	})
}

// TestTokenThatIsStillReservedIsOwed closes a session for others whose token
// another session had reserved and still holds. The token is not dialed for again, no other session
// is closed as long as it may come free by itself, and then one is.
func TestTokenThatIsStillReservedIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(nil, Options{Service: "orders"})
		reserver, leaving, third := &Session{f: f, token: 1, extra: []Token{2}}, &Session{f: f, token: 2}, &Session{f: f, token: 3}
		f.sessions = map[*Session]struct{}{reserver: {}, leaving: {}, third: {}}
		f.give = 1
		leaving.Gone()
		if _, ok := f.Permit(); ok || f.give != 0 || f.owing() != 1 || f.Share() != 2 {
			t.Errorf("share %d, %d to give, %d owed; dials for the token: %v", f.Share(), f.give, f.owing(), ok)
		}
		f.id, f.demand, f.view = 7, 3, View{Budget: 3, Members: []Member{{ID: 7, Held: 3, Demand: 3}}}
		f.keepOwed(lockView{tokens: map[uint32][]Token{reserver.pid: {1}}})
		if len(f.spares()) != 0 {
			t.Errorf("%v are spare that are no longer held", f.spares())
		}
		f.keepOwed(lockView{tokens: map[uint32][]Token{reserver.pid: {1, 2}}})
		if !slices.Equal(f.spares(), []Token{2}) || f.owing() != 0 {
			t.Errorf("%v are spare, %d owed, although nobody else lacks it", f.spares(), f.owing())
		}
		f.void(2)
		time.Sleep(4*f.interval() + 1)
		if f.owing() != 0 {
			t.Error("the reserver is waited for without end")
		}
		f.owedAt = time.Now()
		f.give = 1
		third.Gone()
		if f.owing() != 1 || !slices.Equal(reserver.void, []Token{2}) {
			t.Errorf("%d owed, %v", f.owing(), reserver.void)
		}
	})
}

// TestSessionsOpenedSinceAreOfTheirReplicasRole has a replica of another role replace a session
// between two looks that ask for roles, and an unknown replica join.
func TestSessionsOpenedSinceAreOfTheirReplicasRole(t *testing.T) {
	view := lockView{tokens: map[uint32][]Token{11: {1}, 12: {2}, 21: {3}}, members: map[uint32]uint32{11: 1, 12: 1, 21: 2}}
	r := view.roles(&Snapshot{Role: []uint32{11, 12, 99}})
	view.tokens[22], view.members[22] = view.tokens[21], 2
	delete(view.tokens, 21)
	if ours, certain := view.ours(r); ours != (Ours{All: 3, OtherRoles: 1}) || !certain {
		t.Errorf("%+v, certain: %v", ours, certain)
	}
	view.tokens[31], view.members[31] = []Token{4}, 3
	if ours, certain := view.ours(r); ours != (Ours{All: 4, OtherRoles: 1}) || certain {
		t.Errorf("with a newcomer: %+v, certain: %v", ours, certain)
	}
}
