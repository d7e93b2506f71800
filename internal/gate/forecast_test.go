package gate

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPredictionFollowsTheLimit(t *testing.T) {
	inRig(t, 8, func(t *testing.T, r *rig) {
		r.hold(time.Second)
		held := r.fill(8)
		queue := []*visit{r.ask(t.Context())}
		predicted := func() time.Duration {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.predictLocked(Request, time.Now())
		}
		for _, tt := range []struct {
			limit int
			want  time.Duration
		}{{8, 250 * time.Millisecond}, {4, 500 * time.Millisecond}, {1, 2 * time.Second}, {8, 250 * time.Millisecond}} {
			r.Resize(tt.limit, tt.limit)
			if got := predicted(); got != tt.want {
				t.Errorf("limit %d: %s, want %s", tt.limit, got, tt.want)
			}
		}
		r.Resize(9, 9) // a connection is on its way, but another was here first
		if got, want := predicted(), time.Second/9; got != want {
			t.Errorf("room for one: %s, want %s", got, want)
		}
		r.Resize(10, 10)
		if got := predicted(); got != 0 {
			t.Errorf("room for both: %s", got)
		}
		r.mu.Lock()
		r.dials.state.OK = false // the server refuses: what is there has to do
		r.mu.Unlock()
		if got := predicted(); got != 250*time.Millisecond {
			t.Errorf("server full: %s", got)
		}
		releaseAll(append(held, queue...))
	})
}

func TestForecastWithoutKnowledge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p forecast
		now := time.Now()
		if p.usual(now) != 0 || p.wait(now, 100, 10) != 0 || p.wait(now, 100, 0) != 0 {
			t.Error("predicts from nothing")
		}
	})
}

// A stall of a moment is not taken for one of minutes, however many wait, and a long
// one is believed.
func TestForecastOfAStall(t *testing.T) {
	var f forecast
	now := time.Now()
	for range forecastTypical {
		f.granted(now)
		now = now.Add(2 * time.Millisecond)
		f.returned(now, 2*time.Millisecond)
	}
	for range 4 {
		f.granted(now)
	}
	f.queueForms(now)
	for _, c := range []struct{ stood, atLeast, atMost time.Duration }{
		{0, 500 * time.Millisecond, 500 * time.Millisecond}, // as usual
		{10 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond},
		{500 * time.Millisecond, time.Second, farsight * 500 * time.Millisecond},
		{5 * time.Second, 30 * time.Second, farsight * 5 * time.Second},
	} {
		if got := f.wait(now.Add(c.stood), 999, 4); got < c.atLeast || got > c.atMost {
			t.Errorf("stood for %s: %s, want %s to %s", c.stood, got, c.atLeast, c.atMost)
		}
	}
}

// Those who shared a connection with a slow statement do not make its time the
// typical one.
func TestForecastOfSharedConnections(t *testing.T) {
	var f forecast
	now := time.Now()
	for _, hold := range []time.Duration{time.Millisecond, time.Millisecond, time.Second} {
		f.granted(now)
		now = now.Add(hold)
		f.returned(now, hold)
		f.answered(20)
	}
	if got := f.usual(now); got != time.Millisecond {
		t.Errorf("%s is usual", got)
	}
	if f.count != 3*21 {
		t.Errorf("%d returns", f.count)
	}
}
