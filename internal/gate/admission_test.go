package gate

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestTasksKeepNoRequestOut fills each lane up to MaxWaiters: what waits in one is
// no reason to refuse in the other.
func TestTasksKeepNoRequestOut(t *testing.T) {
	const bound = 10
	for _, lanes := range [][2]Lane{{Background, Request}, {Request, Background}} {
		inRig(t, 4, func(t *testing.T, r *rig) {
			first, other := inLane(t.Context(), lanes[0]), inLane(t.Context(), lanes[1])
			held := r.fill(4)
			var waiting []*visit
			for _, ctx := range []context.Context{first, other} {
				for range bound {
					v := r.ask(ctx)
					v.wantWaiting()
					waiting = append(waiting, v)
				}
				if e := r.ask(ctx).wantError(ErrOverloaded); !e.Full {
					t.Errorf("refused with %+v, want that its lane is full", e)
				}
			}
			releaseAll(held)
			releaseAll(waiting)
		}, func(o *Options, _ *rig) { o.MaxWaiters = bound })
	}
}

// TestHousekeepingRefusesNobody has the pool itself hold every connection for a
// moment: nobody else does, and so nobody is refused for lack of time.
func TestHousekeepingRefusesNobody(t *testing.T) {
	const size = 5
	ways := map[string]func(r *rig) (back func()){
		"claims all": func(r *rig) func() {
			var claimed []*Slot
			for s := r.Claim(func(*Slot) bool { return true }); s != nil; s = r.Claim(func(*Slot) bool { return true }) {
				claimed = append(claimed, s)
			}
			return func() {
				for _, s := range claimed {
					r.Unclaim(s, time.Now())
				}
			}
		},
		"holds one, the others are lost": func(r *rig) func() {
			p := &Permit{Lane: Probe, Internal: true, Asked: time.Now(), Patience: time.Second}
			if d := r.Enter(p, p.Asked); d != Granted {
				r.t.Fatalf("decision %d", d)
			}
			r.setConns(1)
			return func() { r.leave(p); r.setConns(size) }
		},
	}
	for name, take := range ways {
		t.Run(name, func(t *testing.T) {
			inRig(t, size, func(t *testing.T, r *rig) {
				for range 3 * size {
					r.hold(time.Second) // what callers are expected to need
				}
				back := take(r)
				ctx, cancel := context.WithTimeout(t.Context(), 1600*time.Millisecond)
				defer cancel()
				v := r.ask(ctx)
				v.wantWaiting()
				back()
				v.wantServed()
				v.release()
			})
		})
	}
}

// fullQueue has n callers wait in each of both lanes for a connection that does not come back.
func fullQueue(b *testing.B, n int) (*Gate, *Permit) {
	g := New(Options{PoolSize: 1, MaxOpen: 1, MaxWaiters: n, Demand: func() {}})
	g.Dialed(g.Reserve(), time.Now())
	ask := func(l Lane) Decision {
		p := &Permit{Lane: l, Asked: time.Now(), Patience: 1000 * time.Hour, Outer: Grant{P: &Permit{}}}
		return g.Enter(p, p.Asked)
	}
	holder := &Permit{Asked: time.Now(), Patience: 1000 * time.Hour, Lane: Request}
	if d := g.Enter(holder, holder.Asked); d != Granted {
		b.Fatalf("decision %d", d)
	}
	for range n {
		if ask(Request) != Queued || ask(Background) != Queued {
			b.Fatal("not queued")
		}
	}
	b.Cleanup(g.Close)
	return g, &Permit{Lane: Request}
}

// BenchmarkRefusal refuses a caller, with the figures that its error carries. That
// must cost the same however many wait.
func BenchmarkRefusal(b *testing.B) {
	for _, n := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("waiting=%d", 2*n), func(b *testing.B) {
			g, p := fullQueue(b, n)
			b.ReportAllocs()
			for b.Loop() {
				p.Asked, p.Patience = time.Now(), 1000*time.Hour
				if g.Enter(p, p.Asked) != Refused || !errors.Is(p.Err, ErrOverloaded) {
					b.Fatal("not refused")
				}
				_ = g.Snapshot(p.Asked, time.Minute)
				_ = g.Pressure(p.Asked)
			}
		})
	}
}
