package pool

import "time"

// HistogramBounds are the upper bounds of a Histogram's buckets; the last
// bucket has none.
var histogramBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute,
}

// HistogramBounds returns the inclusive upper bounds of the buckets of every
// Histogram, smallest first. The last bucket, which has no bound, is not listed.
func HistogramBounds() []time.Duration { return append([]time.Duration(nil), histogramBounds[:]...) }

// Histogram counts durations in fixed buckets. It is a value: a copy is a snapshot.
type Histogram struct {
	Counts [len(histogramBounds) + 1]uint64 // per bucket, not cumulative
	Count  uint64                           // all observations
	Sum    time.Duration                    // their sum
}

func (h *Histogram) observe(d time.Duration) {
	i := 0
	for i < len(histogramBounds) && d > histogramBounds[i] {
		i++
	}
	h.Counts[i]++
	h.Count++
	h.Sum += d
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
		if seen >= max(rank, 1) && i < len(histogramBounds) {
			return histogramBounds[i]
		}
	}
	return histogramBounds[len(histogramBounds)-1]
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
