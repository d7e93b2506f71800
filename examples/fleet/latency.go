package main

import (
	"math"
	"time"
)

// latency is a histogram with buckets a tenth wider each: from 100 µs up.
type latency [140]int

const (
	latencyFirst = 100 * time.Microsecond
	latencyStep  = 1.1
)

func (l *latency) note(d time.Duration) {
	i := 0
	if d > latencyFirst {
		i = int(math.Ceil(math.Log(float64(d)/float64(latencyFirst)) / math.Log(latencyStep)))
	}
	l[min(i, len(l)-1)]++
}

func (l *latency) add(o latency) {
	for i, n := range o {
		l[i] += n
	}
}

// quantile is the upper bound of the bucket that holds it; 0 when nothing was noted.
func (l *latency) quantile(q float64) time.Duration {
	total := 0
	for _, n := range l {
		total += n
	}
	rank := int(math.Ceil(q * float64(total)))
	for i, n := range l {
		if rank -= n; rank <= 0 && total > 0 {
			return time.Duration(float64(latencyFirst) * math.Pow(latencyStep, float64(i)))
		}
	}
	return 0
}

// jain is Jain's index of fairness: 1 when all are equal, 1/n when one has everything.
func jain(shares []float64) float64 {
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(shares)) * squares)
}
