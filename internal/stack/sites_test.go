package stack

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

//go:noinline
func asks(s *Sites) Trace { return s.Capture() }

// TestCaptureIsOfTheCallersCaller names the one who called the function that asks.
func TestCaptureIsOfTheCallersCaller(t *testing.T) {
	var s Sites
	if got := names(asks(&s).PCs()); !strings.HasPrefix(got[0], "stack.TestCaptureIsOfTheCallersCaller") {
		t.Errorf("%v", got)
	}
	if pcs := (Trace{}).PCs(); len(pcs) != 0 {
		t.Errorf("a zero Trace has %d callers", len(pcs))
	}
}

// TestOneWayIsKeptOnce asks twice by one way, and by another.
func TestOneWayIsKeptOnce(t *testing.T) {
	var s Sites
	var all []Trace
	for range 2 {
		all = append(all, asks(&s))
	}
	other := asks(&s)
	if all[0] != all[1] || all[0] == other {
		t.Errorf("%p and %p for one way, %p for another", all[0].site, all[1].site, other.site)
	}
	if n := testing.AllocsPerRun(100, func() { asks(&s) }); n != 0 {
		t.Errorf("%v allocations for a way that is known", n)
	}
}

// TestMoreWaysThanPlaces has far more ways than there is room for: each is told
// truly all the same, and those that were displaced stay as they were.
func TestMoreWaysThanPlaces(t *testing.T) {
	var s Sites
	way := func(i int) []uintptr { return []uintptr{uintptr(i), uintptr(i * i), 7} }
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			var seen []*site
			for i := range 5 * siteCount {
				seen = append(seen, s.of(way(i*4+g)))
			}
			for i, k := range seen {
				if !slices.Equal(k.pcs, way(i*4+g)) {
					t.Errorf("way %d is told as %v", i*4+g, k.pcs)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkCapture(b *testing.B) {
	var s Sites
	b.ReportAllocs()
	for b.Loop() {
		asks(&s)
	}
}
