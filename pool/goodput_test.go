package pool

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// holding is how long the work of a request that arrives at some moment holds
// its connection.
type holding func(rnd *rand.Rand, at time.Duration) time.Duration

const ms = time.Millisecond

func always(d time.Duration) holding {
	return func(*rand.Rand, time.Duration) time.Duration { return d }
}

// around is anything from half of d to half more.
func around(d time.Duration) holding {
	return func(rnd *rand.Rand, _ time.Duration) time.Duration { return d/2 + time.Duration(rnd.Int64N(int64(d))) }
}

func exponential(mean time.Duration) holding {
	return func(rnd *rand.Rand, _ time.Duration) time.Duration {
		return time.Duration(rnd.ExpFloat64() * float64(mean))
	}
}

// mixed is mostly short, and long once in n times.
func mixed(short, long time.Duration, n int) holding {
	return func(rnd *rand.Rand, _ time.Duration) time.Duration {
		if rnd.IntN(n) == 0 {
			return long
		}
		return short
	}
}

// arrivals is an open-loop load: requests come whatever becomes of those before.
type arrivals struct {
	hold     holding
	perSec   func(at time.Duration) float64
	deadline time.Duration
	length   time.Duration
}

// tally counts what became of the requests that arrived in one second.
type tally struct {
	good    int // done before their deadline
	late    int // cut off by it while they worked
	refused int // at once
	waited  int // in vain
}

// play has the requests arrive at r and returns their fate by second of arrival.
func (a arrivals) play(t *testing.T, r *rig, rnd *rand.Rand) []tally {
	fates := make([]tally, a.length/time.Second)
	type fate struct {
		second int
		what   func(*tally)
	}
	results, n := make(chan fate, 1<<20), 0
	start := time.Now()
	for at := time.Duration(0); at < a.length; n++ {
		time.Sleep(at - time.Since(start))
		second, hold := int(at/time.Second), a.hold(rnd, at)
		go func() { results <- fate{second, a.request(t, r, hold)} }()
		at += time.Duration(rnd.ExpFloat64() / a.perSec(at) * float64(time.Second))
	}
	for range n {
		f := <-results
		f.what(&fates[f.second])
	}
	return fates
}

func (a arrivals) request(t *testing.T, r *rig, hold time.Duration) func(*tally) {
	ctx, cancel := context.WithTimeout(t.Context(), a.deadline)
	defer cancel()
	arrived := time.Now()
	k, err := r.enter(ctx)
	switch {
	case errors.Is(err, ErrOverloaded) && time.Since(arrived) == 0:
		return func(t *tally) { t.refused++ }
	case err != nil:
		return func(t *tally) { t.waited++ }
	}
	left := a.deadline - time.Since(arrived)
	time.Sleep(min(hold, left))
	r.leave(k)
	if hold > left {
		return func(t *tally) { t.late++ }
	}
	return func(t *tally) { t.good++ }
}

func sum(seconds []tally) (s tally) {
	for _, t := range seconds {
		s.good, s.late, s.refused, s.waited = s.good+t.good, s.late+t.late, s.refused+t.refused, s.waited+t.waited
	}
	return s
}

func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestGoodputUnderOverload(t *testing.T) {
	const conns = 10
	tests := map[string]struct {
		hold holding
		mean time.Duration
	}{
		"10 ms":                  {always(10 * ms), 10 * ms},
		"5 to 15 ms":             {around(10 * ms), 10 * ms},
		"25 to 75 ms":            {around(50 * ms), 50 * ms},
		"10 ms, exponential":     {exponential(10 * ms), 10 * ms},
		"50 ms, exponential":     {exponential(50 * ms), 50 * ms},
		"1 ms, one in ten 1 s":   {mixed(ms, time.Second, 10), 101 * ms},
		"1 ms, one in 100 1 s":   {mixed(ms, time.Second, 100), 11 * ms},
		"1 ms, one in ten 30 ms": {mixed(ms, 30*ms, 10), 4 * ms},
	}
	for name, tt := range tests {
		for _, deadline := range []time.Duration{200 * ms, time.Second} {
			for _, times := range []float64{1.5, 3} {
				capacity := conns / tt.mean.Seconds()
				seconds := max(2, math.Ceil(2000/capacity)) // enough for chance to even out
				inRig(t, conns, func(t *testing.T, r *rig) {
					a := arrivals{tt.hold, func(time.Duration) float64 { return times * capacity }, deadline, time.Duration(seconds) * time.Second}
					s := sum(a.play(t, r, seeded(t)))
					if good := float64(s.good) / (seconds * capacity); good < 0.9 {
						t.Errorf("%s, %gx with %s: goodput %.1f%% of capacity: %+v", name, times, deadline, 100*good, s)
					}
				})
			}
		}
	}
}

func TestGoodputBelowCapacityIsWhatIsOffered(t *testing.T) {
	inRig(t, 10, func(t *testing.T, r *rig) {
		a := arrivals{exponential(10 * ms), func(time.Duration) float64 { return 800 }, 200 * ms, 5 * time.Second}
		if s := sum(a.play(t, r, seeded(t))); s.refused+s.late+s.waited > 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Every second hold times change tenfold, up or down, and the load with them.
func TestPredictorFollowsTenfoldChanges(t *testing.T) {
	slow := func(at time.Duration) bool { return int(at/time.Second)%4 >= 2 }
	inRig(t, 10, func(t *testing.T, r *rig) {
		a := arrivals{
			hold: func(rnd *rand.Rand, at time.Duration) time.Duration {
				if slow(at) {
					return around(100*ms)(rnd, at)
				}
				return around(10*ms)(rnd, at)
			},
			perSec: func(at time.Duration) float64 {
				if slow(at) {
					return 150
				}
				return 1500
			},
			deadline: 300 * ms,
			length:   12 * time.Second,
		}
		for second, s := range a.play(t, r, seeded(t)) {
			capacity := a.perSec(time.Duration(second)*time.Second) / 1.5
			if good := float64(s.good) / capacity; second%2 == 1 && good < 0.8 {
				t.Errorf("second %d after a change: goodput %.1f%% of capacity: %+v", second, 100*good, s)
			}
		}
	})
}
