package gate

import (
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// statement is a Call of which only the figures matter.
type statement struct{ cost, trip time.Duration }

func (s statement) Cost() time.Duration  { return s.cost }
func (s statement) Trip() time.Duration  { return s.trip }
func (statement) Ready() <-chan struct{} { return nil }
func (statement) Leave() bool            { return false }

// A run is a connection's part of those who wait, and longer where the network is
// what they wait for.
func TestRunLength(t *testing.T) {
	for name, c := range map[string]struct {
		statement
		limit, waiting, want int
	}{
		"near":                        {statement{20 * time.Microsecond, 50 * time.Microsecond}, 2, 20, 10},
		"nobody knows how far":        {statement{20 * time.Microsecond, 0}, 2, 20, 10},
		"far":                         {statement{20 * time.Microsecond, 2 * time.Millisecond}, 2, 20, 20},
		"far, four parts":             {statement{time.Microsecond, 2 * time.Millisecond}, 10, 101, 41},
		"far, until the server works": {statement{40 * time.Microsecond, 2 * time.Millisecond}, 2, 20, 12},
		"far, costly":                 {statement{100 * time.Microsecond, 2 * time.Millisecond}, 2, 20, 10},
		"far, and few":                {statement{time.Microsecond, 2 * time.Millisecond}, 10, 5, 1},
		"too costly for its part":     {statement{900 * time.Microsecond, time.Second}, 2, 20, 2},
		"very many":                   {statement{0, time.Second}, 2, 1000, maxRun},
	} {
		g := New(Options{PoolSize: c.limit, MaxOpen: c.limit, Linger: time.Minute, Demand: func() {}})
		r := &rig{Gate: g, t: t}
		r.setConns(c.limit)
		now := time.Now()
		enter := func() *Permit {
			p := &Permit{Lane: Request, Asked: now, Patience: time.Hour}
			if g.Enter(p, now) == Queued {
				g.Offer(p, c.statement)
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
