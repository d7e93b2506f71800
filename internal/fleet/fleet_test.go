package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFleetThatDoesNotFitIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newSimServer(20, rand.New(rand.NewPCG(1, 1)))
		server.people = 15 // 5 are left: 4 tokens and 1 of headroom
		var last error
		for i := range 6 {
			server.people = 15 - i/5 // the sixth finds a slot, and no token
			f := lonelyFleet("orders", Options{Seed: uint64(i + 1), Part: "5"})
			c, err := newLink(server).Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p, _ := f.Permit()
			_, last = f.Enter(t.Context(), p, c)
			if last != nil && f.Share() != 0 {
				t.Error("it would dial again at once")
			}
		}
		var room *NoRoomError
		if !errors.As(last, &room) || !strings.Contains(last.Error(), "5 live replicas and this one do not fit into 5 connections") {
			t.Errorf("%v", last)
		}
	})
}

func TestNoRoomIsNotAlwaysTheFleetsSize(t *testing.T) {
	err := &NoRoomError{Members: 2, Plan: Plan{Tokens: 9, Headroom: 1}}
	if got := err.Error(); got != "fleet: all 10 connections of the service are taken, by 2 replicas; they make room" {
		t.Error(got)
	}
}

// TestDialWhoseReserverDiesFindsAnotherToken: the new session must not live by
// a token that somebody else may have claimed meanwhile.
func TestDialWhoseReserverDiesFindsAnotherToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newSimServer(20, rand.New(rand.NewPCG(1, 1)))
		net := newLink(server)
		f, other := lonelyFleet("orders", Options{Seed: 1}), lonelyFleet("orders", Options{Seed: 2})
		first := must(t)(net.Dial(t.Context()))
		s := enter(t, f, first)
		if err := f.poll(t.Context(), s, first); err != nil {
			t.Fatal(err)
		}
		p, ok := f.Permit()
		if !ok || p.token == 0 {
			t.Fatal("no token was reserved")
		}
		fresh := must(t)(net.Dial(t.Context()))
		server.finish(first.(*simConn).session)
		taken := enter(t, other, must(t)(net.Dial(t.Context())))
		second := must(t)(net.Dial(t.Context()))
		server.do(second.(*simConn).session, NewKeys(DefaultKeySpace, "orders"), Request{Claim: 1, UpTo: p.token}) // whoever it is
		late, err := f.Enter(t.Context(), p, fresh)
		if err != nil {
			t.Fatal(err)
		}
		if late.token == p.token || late.token == taken.token {
			t.Errorf("it lives by token %d, which is another's", late.token)
		}
	})
}

func TestShareWithoutASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(lonely{Load{Max: 10, Wanted: 3}}, Options{Seed: 1})
		if _, ok := f.Permit(); ok {
			t.Error("replicas that start together must not dial together")
		}
		time.Sleep(firstPause)
		if f.Share() != 1 {
			t.Error("the first dial must be allowed")
		}
		p, _ := f.Permit()
		if _, again := f.Permit(); again || f.Share() != 1 {
			t.Error("a second dial without a token at the same time")
		}
		f.Refused(p, true)
		if _, again := f.Permit(); again || f.Share() != 0 {
			t.Error("the next dial must wait")
		}
		time.Sleep(100 * time.Millisecond)
		if f.Share() != 1 {
			t.Error("and no longer than the back-off")
		}
	})
}

// slow is a pool on a machine so busy that each step takes as long as the first pause.
type slow struct {
	lonely
	told chan int
}

func (s slow) SetShare(n int) {
	time.Sleep(firstPause)
	select {
	case s.told <- n:
	default:
	}
}

// The first dial becomes due while the share is told: it is not waited for.
func TestShareIsToldWhenItBecomesDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := slow{lonely{Load{Max: 10, Wanted: 3}}, make(chan int, 10)}
		f := New(host, Options{Seed: 1})
		ctx, stop := context.WithTimeout(t.Context(), 10*firstPause)
		defer stop()
		f.Run(ctx)
		close(host.told)
		last := 0
		for last = range host.told {
		}
		if last != 1 {
			t.Errorf("told %d last, want 1", last)
		}
	})
}

// simulated returns sessions of one simulated server.
func simulated(t *testing.T) (*simServer, func() *simConn) {
	server := newSimServer(20, rand.New(rand.NewPCG(1, 1)))
	net := newLink(server)
	return server, func() *simConn { return must(t)(net.Dial(t.Context())).(*simConn) }
}

func look(t *testing.T, f *Fleet, s *Session, l Locks) {
	t.Helper()
	if err := f.poll(t.Context(), s, l); err != nil {
		t.Fatal(err)
	}
}

func TestReservationOutlastsALookWhileItsDialIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, open := simulated(t)
		f := lonelyFleet("orders", Options{Seed: 1})
		first := open()
		s := enter(t, f, first)
		look(t, f, s, first)
		p, _ := f.Permit()
		if ask, err := f.begin(s); err != nil || slices.Contains(ask.Drop, p.token) {
			t.Errorf("%+v, %v", ask, err)
		}
		fresh, err := f.Enter(t.Context(), p, open())
		if err != nil || fresh.token != p.token {
			t.Errorf("the reserved token %d became %+v (%v)", p.token, fresh, err)
		}
		look(t, f, s, first)
		if len(s.extra) != 0 && s.extra[0] == p.token {
			t.Error("the reserver does not let go of a token that has its session")
		}
	})
}

func TestBudgetIgnoresWhoIsThereForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, open := simulated(t)
		f := lonelyFleet("orders", Options{Seed: 1})
		first := open()
		s := enter(t, f, first)
		for _, step := range []struct{ people, tokens int }{{0, 18}, {4, 18}, {0, 18}, {4, 18}, {4, 18}, {4, 15}, {0, 18}} {
			server.people = step.people
			look(t, f, s, first)
			if f.plan.Tokens != step.tokens {
				t.Errorf("%d tokens with %d strangers; want %d", f.plan.Tokens, step.people, step.tokens)
			}
		}
	})
}

// TestTokensAreNotLeftForWhoNeverComes: a replica that is cut off looks as if it
// wanted its share.
func TestTokensAreNotLeftForWhoNeverComes(t *testing.T) {
	simulate(t, smallSlots, 16, func(w *world) {
		ghost := must(w.T)(newLink(w.server).Dial(w.ctx))
		ghost.Do(w.ctx, Request{Join: 99, Publish: []uint32{demandValue(1, 16)}, Claim: 1, UpTo: 1})
		r := w.join(20, 50*time.Millisecond, 0)
		time.Sleep(10 * time.Second)
		if n := r.sessions(); n < 14 {
			w.Errorf("%d sessions; nobody else uses the other tokens", n)
		}
	})
}

// enterBlind takes in a session that was dialed without a token.
func enterBlind(t *testing.T, f *Fleet, l Locks) *Session {
	t.Helper()
	s, err := f.Enter(t.Context(), &Permit{}, l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFailoverMovesTheTokensAndLoadBalancingEndsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := lonelyFleet("orders", Options{Seed: 1, Part: "12", Replicas: 3})
		_, onA := simulated(t)
		b, onB := simulated(t)
		b.starts = 77
		s := enter(t, f, onA())
		if s2 := enterBlind(t, f, onB()); !s.Surplus() || s2.Surplus() {
			t.Errorf("after a failover: surplus %v and %v", s.Surplus(), s2.Surplus())
		}
		if enterBlind(t, f, onA()); f.Status().NoLocks != "" {
			t.Error("a failover that was undone is taken for several servers")
		}
		enterBlind(t, f, onB())
		if st := f.Status(); st.NoLocks != severalServers || st.Share != 3 {
			t.Errorf("with connections here and there: %+v", st)
		}
	})
}

// TestLackingCountsTheRemainderAsOthersDo has every member of a fleet whose tokens do not divide
// evenly ask what it lacks: together they lack what is missing, as all of them see it.
func TestLackingCountsTheRemainderAsOthersDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		view := View{Budget: 16, Members: []Member{{ID: 10, Held: 2, Demand: 9}, {ID: 20, Held: 2, Demand: 9}, {ID: 30, Held: 2, Demand: 9}}}
		for range 6 {
			for i, target := range view.Targets() {
				f := New(nil, Options{Service: "orders"})
				f.id, f.demand, f.view, f.viewAt = view.Members[i].ID, 9, view, time.Now()
				if got := f.lacking(); got != target {
					t.Errorf("at %v member %d lacks %d; it should have %d and has none", view.Clock, f.id, got, target)
				}
			}
			view.Clock += remainderTurn / 2
		}
	})
}
