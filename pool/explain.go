package pool

import (
	"errors"
	"time"
)

// explainedHolders is how many of the longest holders an AcquireError names.
const explainedHolders = 3

// explain turns the gate's decision about k into the error that answers why.
func (p *Pool) explain(k *permit, err error) error {
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return p.overloaded(k, refused.wait)
	case errors.Is(err, ErrPoolTimeout), errors.Is(err, ErrNested):
		return p.failure(k, err)
	}
	return err
}

// overloaded is the error of a caller refused at once. It is made in a
// microsecond or two, so it looks nothing up.
func (p *Pool) overloaded(k *permit, wait time.Duration) error {
	return &AcquireError{Kind: ErrOverloaded, PredictedWait: wait, Waited: time.Since(k.asked), Stats: p.Stats()}
}

// failure is the error of a caller that waited in vain.
func (p *Pool) failure(k *permit, kind error) error {
	e := &AcquireError{
		Kind:    kind,
		Waited:  time.Since(k.asked),
		Stats:   p.Stats(),
		Holders: p.Holders(explainedHolders),
		Caller:  k.by.String(),
	}
	if k.outer != nil {
		outer := p.describe(k.outer, e.Stats.At)
		e.Outer = &outer
	}
	e.Verdict = p.judge(e)
	if kind == ErrPoolTimeout && e.Verdict == VerdictServerFull {
		e.Kind = ErrServerFull
	}
	return e
}

// judge names the most likely cause: the first of these that the figures show.
func (p *Pool) judge(e *AcquireError) Verdict {
	s := e.Stats
	starved := !s.Server.OK && s.Open() < s.Limit
	switch {
	case starved && p.gate.serverFull():
		return VerdictServerFull
	case starved:
		return VerdictServerDown
	case e.Outer != nil:
		return VerdictNested
	case len(e.Holders) == 0:
		return VerdictSmall
	}
	return p.judgeHolders(e)
}

// judgeHolders looks at the longest holder: one that has done nothing on the
// server for as long as this caller waited is a leak, one that is still running
// is slow; and when everybody gave back in the meantime, there are too few connections.
func (p *Pool) judgeHolders(e *AcquireError) Verdict {
	oldest := e.Holders[0]
	switch {
	case oldest.Held < e.Waited:
		return VerdictSmall
	case oldest.Activity == activityName(activityRunning):
		return VerdictSlow
	}
	return VerdictLeak
}
