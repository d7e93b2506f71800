package fleet

import (
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

// TestTokenThatIsStillReservedIsNotGiven closes a session for others whose token
// another session had reserved and still holds: nothing has come free yet, and the
// token is not dialed for again before something has.
func TestTokenThatIsStillReservedIsNotGiven(t *testing.T) {
	f := New(nil, Options{Service: "orders"})
	reserver, leaving, other := &Session{f: f, token: 1, extra: []Token{2}}, &Session{f: f, token: 2}, &Session{f: f, token: 3}
	f.sessions = map[*Session]struct{}{reserver: {}, leaving: {}, other: {}}
	f.give = 1
	leaving.Gone()
	if _, ok := f.Permit(); ok || f.give != 1 {
		t.Errorf("dials for the token again, with %d to give", f.give)
	}
	other.Gone()
	if p, ok := f.Permit(); !ok || p.token != 2 {
		t.Errorf("a token was given, and the reserved one is not used: %v, %+v", ok, p)
	}
}
