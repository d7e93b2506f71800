package pool

import (
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
)

// HistogramBounds returns the inclusive upper bounds of the buckets of every
// Histogram, smallest first. The last bucket, which has no bound, is not listed.
func HistogramBounds() []time.Duration { return append([]time.Duration(nil), gate.Bounds[:]...) }

// Histogram counts durations in fixed buckets. It is a value: a copy is a snapshot.
type Histogram struct {
	Counts [len(gate.Bounds) + 1]uint64 // per bucket, not cumulative
	Count  uint64                       // all observations
	Sum    time.Duration                // their sum
}

// Quantile returns an upper estimate of the q-quantile (0 < q <= 1): the bound
// of the bucket that holds it. 0 when nothing was observed; the last bound when
// it lies beyond.
func (h Histogram) Quantile(q float64) time.Duration {
	if h.Count == 0 {
		return 0
	}
	rank, seen := uint64(q*float64(h.Count)+0.5), uint64(0)
	for i, n := range h.Counts {
		seen += n
		if seen >= max(rank, 1) && i < len(gate.Bounds) {
			return gate.Bounds[i]
		}
	}
	return gate.Bounds[len(gate.Bounds)-1]
}

// Sub returns the observations made after earlier was taken.
func (h Histogram) Sub(earlier Histogram) Histogram {
	for i := range h.Counts {
		h.Counts[i] -= earlier.Counts[i]
	}
	h.Count -= earlier.Count
	h.Sum -= earlier.Sum
	return h
}
