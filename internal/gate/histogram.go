package gate

import "time"

// Bounds are the inclusive upper bounds of a Histogram's buckets; the last bucket
// has none.
var Bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute,
}

// Histogram counts durations in fixed buckets.
type Histogram struct {
	Counts [len(Bounds) + 1]uint64 // per bucket, not cumulative
	Count  uint64                  // all observations
	Sum    time.Duration           // their sum
}

// Bucket is the index of the bucket that counts d.
func Bucket(d time.Duration) int {
	i := 0
	for i < len(Bounds) && d > Bounds[i] {
		i++
	}
	return i
}

func (h *Histogram) observe(d time.Duration) {
	h.Counts[Bucket(d)]++
	h.Count++
	h.Sum += d
}
