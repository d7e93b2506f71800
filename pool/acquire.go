package pool

import (
	"context"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// take acquires a connection for ctx: the one entrance to the gate. It waits in
// the caller's lane for at most pool_timeout. The error says why there is none.
func (v *virtual) take(ctx context.Context, w gate.Want) error {
	permit := &v.permit
	permit.Want = w
	if len(permit.Callsite.PCs()) == 0 {
		permit.Callsite = v.p.callers.Capture()
	}
	v.follow(ctx)
	return v.comeHome(ctx, v.p.acquire(ctx, permit))
}

// acquire has the gate grant permit.
func (p *Pool) acquire(ctx context.Context, permit *gate.Permit) error {
	permit.Asked = time.Now()
	return p.acquireSince(ctx, permit)
}

// acquireSince is acquire for a caller who has waited elsewhere since permit.Asked.
func (p *Pool) acquireSince(ctx context.Context, permit *gate.Permit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.setPatience(ctx, permit)
	if permit.Internal {
		return p.admit(ctx, permit)
	}
	lane, name := laneOf(ctx), nameOf(ctx)
	permit.Lane, permit.Name, permit.Scope = gate.Lane(lane), name, scopeOf(ctx).Of(p.gate)
	permit.Outer = p.gate.GrantOf(permit.Scope.Holding())
	if lane == LaneProbe {
		permit.Statement = nil
	}
	route, st := p.routes.of(lane, name), statementOf(permit.Statement)
	if p.observer == nil && route == nil && st == nil {
		return p.admit(ctx, permit)
	}
	route.asked()
	st.asked()
	if p.observer != nil {
		ctx = p.observer.AcquireStart(ctx, lane, name)
	}
	err := p.admit(ctx, permit)
	p.answered(ctx, permit, route, err)
	return err
}

// answered tells who watches what became of a caller. One whose statement went
// with another's has given its share of that connection back already.
func (p *Pool) answered(ctx context.Context, permit *gate.Permit, r *route, err error) {
	var waited time.Duration
	shared := permit.Shared()
	if shared || err == nil {
		err, waited = nil, permit.GrantedAt().Sub(permit.Asked)
	} else {
		waited = time.Since(permit.Asked)
	}
	r.answered(waited, err)
	statementOf(permit.Statement).answered(waited, err)
	if p.observer != nil {
		p.observer.AcquireEnd(ctx, Lane(permit.Lane), permit.Name, waited, err)
	}
	if shared {
		p.gaveBack(permit.Lane, permit.Name, permit.Statement, time.Since(permit.GrantedAt()))
	}
}

// gaveBack tells who watches that a connection was given back.
func (p *Pool) gaveBack(l gate.Lane, name string, statement any, held time.Duration) {
	lane := Lane(l)
	p.routes.of(lane, name).released(held)
	statementOf(statement).released(held)
	if p.observer != nil {
		p.observer.Released(lane, name, held)
	}
}

// statementOf is the statement that a permit was asked for; nil when it is not counted.
func statementOf(noted any) *route {
	st, _ := noted.(*route)
	return st
}

// setPatience ends the wait at pool_timeout or at ctx's own deadline, whichever is first.
func (p *Pool) setPatience(ctx context.Context, permit *gate.Permit) {
	permit.Patience, permit.OwnDeadline = p.cfg.PoolTimeout, false
	if d, ok := ctx.Deadline(); ok {
		if left := d.Sub(permit.Asked); left < permit.Patience {
			permit.Patience, permit.OwnDeadline = left, true
		}
	}
}

// admit lets permit through the gate or says why not.
func (p *Pool) admit(ctx context.Context, permit *gate.Permit) error {
	if p.cfg.Nested == config.NestedRefuse && permit.Outer.P != nil {
		p.gate.CountNested()
		return p.explain(permit, ErrNested)
	}
	return p.explain(permit, p.await(ctx, permit, p.gate.Enter(permit, permit.Asked)))
}

// acquireAgain is acquire for a permit whose connection was dead, after a pause.
// With an error the permit has gone back.
func (p *Pool) acquireAgain(ctx context.Context, permit *gate.Permit, pause time.Duration) error {
	err := rest(ctx, permit, pause)
	if err == nil {
		err = p.await(ctx, permit, p.gate.Again(permit, time.Now()))
	} else {
		p.gate.Release(permit, time.Now(), connstate.CloseUnknown)
	}
	if err != nil {
		p.released(permit)
	}
	return p.explain(permit, err)
}

// await waits until the gate has decided, if it has not.
func (p *Pool) await(ctx context.Context, permit *gate.Permit, d gate.Decision) error {
	switch d {
	case gate.Granted:
		if p.cfg.MinIdle > 0 {
			p.gate.Demand() // for one in its place
		}
		return nil
	case gate.Refused:
		return permit.Err
	}
	if permit.WantsDial {
		p.gate.Demand()
	}
	p.member.wake()
	p.offer(permit)
	if p.partOf != nil && permit.Lane != gate.Probe { // but for who looks whether they are back
		return p.partOf.waitTurn(ctx, permit)
	}
	return p.gate.WaitTurn(ctx, permit)
}

// rest waits a little; it returns why there is no time left for another try.
func rest(ctx context.Context, permit *gate.Permit, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	left := time.Until(permit.WaitEnds())
	switch {
	case left <= 0:
		return ErrPoolTimeout
	case d == 0:
		return nil
	}
	timer := time.NewTimer(min(d, left))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// released is called once for each permit that came back.
func (p *Pool) released(permit *gate.Permit) {
	if permit.Internal {
		return
	}
	if p.observer != nil || permit.Name != "" || statementOf(permit.Statement) != nil {
		p.gaveBack(permit.Lane, permit.Name, permit.Statement, time.Since(permit.GrantedAt()))
	}
	p.cleared(permit)
}

// cleared is released without the observer, who was told before.
func (p *Pool) cleared(permit *gate.Permit) {
	if permit.Warned {
		p.housekeeper.allClear(permit)
	}
	if permit.WantsDial {
		p.gate.Demand() // a background task less may leave room for a dial
	}
}

type scopeKey struct{}

func scopeOf(ctx context.Context) *gate.Scope {
	s, _ := ctx.Value(scopeKey{}).(*gate.Scope)
	return s
}
