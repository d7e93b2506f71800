package pool

import (
	"fmt"

	"github.com/dbpool-go/dbpool/internal/diagnosis"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// explainedHolders is how many of the longest holders an AcquireError names.
const explainedHolders = 3

// explain turns the gate's decision about permit into the error that answers why.
func (p *Pool) explain(permit *gate.Permit, err error) error {
	if err == nil || permit.Internal {
		return err
	}
	switch e := err.(type) {
	case *gate.Refusal:
		return p.overloaded(permit, e)
	case *DialError:
		return fmt.Errorf("pool %q: %w", p.cfg.Name, e)
	}
	if err == ErrClosed {
		return p.errClosed()
	}
	if err == ErrPoolTimeout || err == ErrNested {
		return p.failure(permit, err)
	}
	return err
}

// overloaded is the error of a caller refused at once. It is made in a
// microsecond or two: the diagnosis is one that was made a moment ago.
func (p *Pool) overloaded(permit *gate.Permit, r *gate.Refusal) error {
	s := p.figures()
	d := p.diagnoseRefusal(s, r.Wait)
	return &AcquireError{
		Kind: ErrOverloaded, Lane: Lane(permit.Lane), PredictedWait: r.Wait, PredictedWork: r.Work, QueueFull: r.Full,
		Waited: s.At.Sub(permit.Asked), Patience: permit.Patience, Stats: s, Verdict: d.Verdict, Diagnosis: d,
	}
}

// failure is the error of a caller that waited in vain, or for itself.
func (p *Pool) failure(permit *gate.Permit, kind error) error {
	s := p.figures()
	e := &AcquireError{
		Kind:     kind,
		Lane:     Lane(permit.Lane),
		Waited:   s.At.Sub(permit.Asked),
		Patience: permit.Patience,
		Stats:    s,
		Holders:  p.describeAll(p.gate.Oldest(explainedHolders), s.At),
		Caller:   caller(permit.Callsite).place(p.plumbing),
	}
	scene := p.scene(s)
	scene.Failed, scene.Waited, scene.Caller, scene.Background = true, e.Waited, e.Caller, permit.Lane == gate.Background
	if h, ok := p.gate.Holding(permit.Outer); ok {
		outer := p.describe(&h, s.At)
		e.Outer = &outer
		scene.Outer = &diagnosis.Holder{Who: p.whoAsked(&h), Held: outer.Held, Doing: diagnosis.Doing(outer.Activity), PID: outer.PID}
	}
	e.Diagnosis = diagnosed(diagnosis.Of(scene))
	e.Verdict = e.Diagnosis.Verdict
	if kind == ErrPoolTimeout && e.Verdict.NoCapacity() {
		e.Kind = ErrServerFull
	}
	return e
}
