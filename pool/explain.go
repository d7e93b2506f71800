package pool

import (
	"fmt"
	"time"
)

// explainedHolders is how many of the longest holders an AcquireError names.
const explainedHolders = 3

// explain turns the gate's decision about k into the error that answers why.
func (p *Pool) explain(k *permit, err error) error {
	if err == nil || k.internal {
		return err
	}
	switch e := err.(type) {
	case *refusal:
		return p.overloaded(k, e)
	case *DialError:
		return fmt.Errorf("pool %q: %w", p.cfg.Name, e)
	}
	if err == ErrPoolTimeout || err == ErrNested {
		return p.failure(k, err)
	}
	return err
}

// overloaded is the error of a caller refused at once. It is made in a
// microsecond or two, so it looks nothing up.
func (p *Pool) overloaded(k *permit, r *refusal) error {
	s := p.Stats()
	return &AcquireError{Kind: ErrOverloaded, Lane: k.lane, PredictedWait: r.wait, QueueFull: r.full, Waited: s.At.Sub(k.asked), Patience: k.patience, Stats: s}
}

// failure is the error of a caller that waited in vain, or for itself.
func (p *Pool) failure(k *permit, kind error) error {
	s := p.Stats()
	holders := p.gate.oldest(0)
	e := &AcquireError{
		Kind:     kind,
		Lane:     k.lane,
		Waited:   s.At.Sub(k.asked),
		Patience: k.patience,
		Stats:    s,
		Holders:  p.describeAll(holders[:min(len(holders), explainedHolders)], s.At),
		Caller:   k.by.place(p.plumbing),
	}
	if h, ok := p.gate.holding(k.outer); ok {
		outer := p.describe(&h, s.At)
		e.Outer = &outer
	}
	e.Verdict = p.judge(e, holders)
	if kind == ErrPoolTimeout && e.Verdict == VerdictServerFull {
		e.Kind = ErrServerFull
	}
	return e
}

// judge names the most likely cause: the first of these that the figures show.
func (p *Pool) judge(e *AcquireError, holders []holderRecord) Verdict {
	s := e.Stats
	bounded := s.Limit < s.MaxOpen() // by the fleet's budget
	starved := !s.Server.OK && (s.Open() < s.Limit || bounded && s.Open() == 0)
	switch {
	case starved && p.gate.serverFull():
		return VerdictServerFull
	case starved:
		return VerdictServerDown
	case e.Outer != nil:
		return VerdictNested
	case len(holders) == 0 && s.Dialing+s.Closing > 0:
		return VerdictServerDown // it neither answers dials nor ends sessions
	}
	v := judgeHolders(holders, s.At.Add(-e.Waited))
	if v == VerdictSmall && bounded {
		return VerdictServerFull
	}
	return v
}

// judgeHolders tells by those who held connections all the time since the
// caller asked. When most gave theirs back in the meantime, there are too few;
// else they are slow while they run statements, and a leak while they do not.
func judgeHolders(holders []holderRecord, asked time.Time) Verdict {
	stuck, running := 0, 0
	for i := range holders {
		k := &holders[i]
		if k.granted.After(asked) {
			continue
		}
		stuck++
		if k.activity == activityRunning {
			running++
		}
	}
	switch {
	case 2*stuck < len(holders) || stuck == 0:
		return VerdictSmall
	case 2*running >= stuck:
		return VerdictSlow
	}
	return VerdictLeak
}
