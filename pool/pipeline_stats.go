package pool

import (
	"iter"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// PipelineStats counts statements that were sent with those of other callers,
// and why others that waited were not.
type PipelineStats struct {
	Mode        config.PipelineMode // Config.Pipeline
	SharedCount uint64              // statements that were sent together with others
	RunCount    uint64              // times that was done
	RunLengths  RunLengths          // by how many statements each had
	Unshared    UnsharedStats       // statements that waited for a connection of their own
}

// RunLengths counts runs by how many statements they had: 2, up to 4, up to 8,
// and so on, as RunLengthBounds says; the last bucket has no bound.
type RunLengths [len(gate.RunLengthBounds) + 1]uint64

// RunLengthBounds returns the inclusive upper bounds of the buckets of
// RunLengths, smallest first. The last bucket, which has no bound, is not listed.
func RunLengthBounds() []int { return append([]int(nil), gate.RunLengthBounds[:]...) }

// UnsharedStats counts statements of the pool's own methods that waited for a
// connection and could not go with others, by the first reason that applied.
type UnsharedStats struct {
	Text      uint64 // locks, waits, lives in the session, or changes data without DB_PIPELINE=all
	New       uint64 // not executed three times yet, or not since it stopped sharing
	NotSelect uint64 // looks like a query and came back as something else
	Slow      uint64 // slow lately
	Large     uint64 // a large result lately
	Nested    uint64 // its caller holds a connection already
	Arguments uint64 // its arguments are too large, or cannot be encoded
}

// All gives the count for each reason, under its name in metrics.
func (u UnsharedStats) All() iter.Seq2[string, uint64] {
	return counts{
		{"text", u.Text}, {"new", u.New}, {"not_select", u.NotSelect}, {"slow", u.Slow}, {"large", u.Large},
		{"nested", u.Nested}, {"arguments", u.Arguments},
	}.all
}

// Total is the sum over all reasons.
func (u UnsharedStats) Total() uint64 {
	return u.Text + u.New + u.NotSelect + u.Slow + u.Large + u.Nested + u.Arguments
}

// pipelineStats returns what the gate and the callers have counted.
func (p *Pool) pipelineStats(g gate.Snapshot) PipelineStats {
	count := func(why pgdriver.Reason) uint64 { return p.unshared[why].Load() }
	return PipelineStats{
		Mode: p.cfg.Pipeline, SharedCount: g.SharedCount, RunCount: g.RunCount, RunLengths: RunLengths(g.RunLengths),
		Unshared: UnsharedStats{
			Text: count(pgdriver.BecauseText), New: count(pgdriver.BecauseNew), NotSelect: count(pgdriver.BecauseNotSelect),
			Slow: count(pgdriver.BecauseSlow), Large: count(pgdriver.BecauseLarge),
			Nested: count(pgdriver.BecauseNested), Arguments: count(pgdriver.BecauseArguments),
		},
	}
}
