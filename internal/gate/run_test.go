package gate

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// statement is a Call that takes so long, and that is told when it is ready.
type statement struct {
	cost  time.Duration
	ready chan struct{}
}

func (s statement) Cost() time.Duration    { return s.cost }
func (s statement) Ready() <-chan struct{} { return s.ready }
func (s statement) Leave() bool            { return false }

// A run is a connection's part of those who wait, as far as the server is quick with it.
func TestRunLength(t *testing.T) {
	for name, c := range map[string]struct {
		cost                 time.Duration
		limit, waiting, want int
	}{
		"two connections":         {20 * time.Microsecond, 2, 20, 10},
		"ten connections":         {20 * time.Microsecond, 10, 101, 11},
		"few who wait":            {20 * time.Microsecond, 10, 5, 1},
		"too costly for its part": {900 * time.Microsecond, 2, 20, 2},
		"very many":               {0, 2, 1000, maxRun},
	} {
		g := New(Options{PoolSize: c.limit, MaxOpen: c.limit, Linger: time.Minute, Demand: func() {}})
		r := &rig{Gate: g, t: t}
		r.setConns(c.limit)
		now := time.Now()
		enter := func() *Permit {
			p := &Permit{Lane: Request, Asked: now, Patience: time.Hour}
			if g.Enter(p, now) == Queued {
				g.Offer(p, statement{cost: c.cost})
			}
			return p
		}
		held := make([]*Permit, c.limit)
		for i := range held {
			held[i] = enter()
		}
		first := enter()
		for range c.waiting - 1 {
			enter()
		}
		g.Release(held[0], now, connstate.CloseUnknown)
		if got := max(1, len(first.Run())); got != c.want {
			t.Errorf("%s: a run of %d, want %d", name, got, c.want)
		}
		g.Close()
	}
}

// A caller who is chosen to see to the answers of others in the moment in which its
// context ends is told so, and hands them on.
func TestChosenInTheMomentOfLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{PoolSize: 1, MaxOpen: 1, Linger: time.Minute, Demand: func() {}})
		r := &rig{Gate: g, t: t}
		r.setConns(1)
		enter := func() (*Permit, statement) {
			p, s := &Permit{Lane: Request, Asked: time.Now(), Patience: time.Hour}, statement{ready: make(chan struct{})}
			if g.Enter(p, p.Asked) == Queued {
				g.Offer(p, s)
			}
			return p, s
		}
		holder, _ := enter()
		first, _ := enter()
		second, told := enter()
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.WaitTurn(ctx, second) }()
		synctest.Wait()
		g.Release(holder, time.Now(), connstate.CloseUnknown)
		if len(first.Run()) != 2 || !g.PassOn(first, second) {
			t.Fatalf("a run of %d", len(first.Run()))
		}
		leave()
		synctest.Wait()
		close(told.ready)
		if err := <-done; err != nil || !second.Shared() {
			t.Errorf("%v, shared %v", err, second.Shared())
		}
		g.Release(second, time.Now(), connstate.CloseUnknown)
		g.Close()
	})
}
