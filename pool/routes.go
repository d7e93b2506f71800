package pool

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
)

// RouteStats is what was done under one name: a route of Middleware, a task of
// Background, or what ContextWithName says; or by one statement, see Statements. Counters count since the pool was
// opened; probes and work without a name are not in them.
type RouteStats struct {
	Name           string // empty for all names beyond the first 200
	InUse, Waiting int    // connections that it holds, and callers that wait
	AcquireCount   uint64 // callers that got a connection
	TimeoutCount   uint64 // that waited in vain
	ShedCount      uint64 // that were refused at once
	Wait, Hold     Histogram
}

// Routes returns the figures of each name, the one that has held connections for
// the longest in all first. It may be called concurrently, and stops nobody.
func (p *Pool) Routes() []RouteStats { return p.routes.stats() }

func (r *routes) stats() []RouteStats {
	var out []RouteStats
	r.known.Range(func(name, one any) bool {
		out = append(out, one.(*route).stats(name.(string)))
		return true
	})
	if rest := r.rest.stats(""); rest.AcquireCount+rest.TimeoutCount+rest.ShedCount > 0 || rest.Waiting > 0 {
		out = append(out, rest)
	}
	slices.SortFunc(out, func(a, b RouteStats) int {
		return cmp.Or(cmp.Compare(b.Hold.Sum, a.Hold.Sum), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// mostRoutes bounds the names that are kept apart: a service may make them up.
const mostRoutes = 200

// routes counts by name. Its zero value is ready.
type routes struct {
	known sync.Map // of string and *route
	n     atomic.Int64
	rest  route // beyond mostRoutes
}

// of returns the route of that name; nil when it is nobody's.
func (r *routes) of(lane Lane, name string) *route {
	if name == "" || lane == LaneProbe {
		return nil
	}
	if found, ok := r.known.Load(name); ok {
		return found.(*route)
	}
	if r.n.Load() >= mostRoutes {
		return &r.rest
	}
	found, loaded := r.known.LoadOrStore(name, &route{})
	if !loaded {
		r.n.Add(1)
	}
	return found.(*route)
}

// route is the figures of one name. All methods may be called on nil.
type route struct {
	inUse, waiting           atomic.Int64
	acquired, timedOut, shed atomic.Uint64
	wait, hold               durations
}

func (r *route) asked() {
	if r != nil {
		r.waiting.Add(1)
	}
}

// answered is after asked: with a connection, or with err.
func (r *route) answered(waited time.Duration, err error) {
	if r == nil {
		return
	}
	r.waiting.Add(-1)
	switch {
	case err == nil:
		r.inUse.Add(1)
		r.acquired.Add(1)
		r.wait.observe(waited)
	case errors.Is(err, ErrOverloaded):
		r.shed.Add(1)
	case errors.Is(err, ErrPoolTimeout), errors.Is(err, ErrServerFull):
		r.timedOut.Add(1)
	}
}

// holdsAgain is for a statement that was sent with others, which counted as a
// connection given back, and got one to itself after all.
func (r *route) holdsAgain() {
	if r != nil {
		r.inUse.Add(1)
	}
}

// released is after answered without an error.
func (r *route) released(held time.Duration) {
	if r == nil {
		return
	}
	r.inUse.Add(-1)
	r.hold.observe(held)
}

func (r *route) stats(name string) RouteStats {
	return RouteStats{
		Name: name, InUse: int(max(0, r.inUse.Load())), Waiting: int(max(0, r.waiting.Load())),
		AcquireCount: r.acquired.Load(), TimeoutCount: r.timedOut.Load(), ShedCount: r.shed.Load(),
		Wait: r.wait.histogram(), Hold: r.hold.histogram(),
	}
}

// durations is a Histogram that many may add to at once.
type durations struct {
	counts [len(gate.Bounds) + 1]atomic.Uint64
	sum    atomic.Int64
}

func (d *durations) observe(took time.Duration) {
	d.counts[gate.Bucket(took)].Add(1)
	d.sum.Add(int64(took))
}

func (d *durations) histogram() Histogram {
	h := Histogram{Sum: time.Duration(d.sum.Load())}
	for i := range d.counts {
		h.Counts[i] = d.counts[i].Load()
		h.Count += h.Counts[i]
	}
	return h
}
