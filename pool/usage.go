package pool

import "time"

// UsageSample is what happened between two looks at a pool, as the gate saw it:
// a look once a second misses what lasts for less.
type UsageSample struct {
	Span    time.Duration // since the sample before
	Peak    int           // the most connections that callers held at once
	Waiting int           // the most callers that waited at once
	Above   time.Duration // for how long the threshold was reached
}

// SampleUsage returns what happened since it was called last, for one caller, a
// monitor. From now on Above is the time during which at least threshold percent
// of the connections that can be had are in use.
func (p *Pool) SampleUsage(threshold int) UsageSample {
	s := p.Stats()
	return UsageSample(p.gate.SampleUsage(threshold, s.Available(), time.Now()))
}
