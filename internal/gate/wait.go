package gate

import (
	"context"
	"errors"
	"time"
)

// WaitTurn waits in the queue until the gate has decided about p, or p's caller
// will not wait any longer. If both happen in the same moment, the decision
// counts. A wait that takes too long ends with ErrTimeout, whether by pool_timeout
// (expire) or by ctx's deadline.
func (g *Gate) WaitTurn(ctx context.Context, p *Permit) error {
	if p.decided(ctx.Done()) {
		return p.Err
	}
	err := ctx.Err()
	switch g.leave(p, time.Now(), errors.Is(err, context.DeadlineExceeded)) {
	case leftQueue:
		if errors.Is(err, context.DeadlineExceeded) {
			return ErrTimeout
		}
		return err
	case leftRun:
		return err
	case answeredBefore:
		p.shared = true
		return nil
	}
	p.decided(nil) // it was meanwhile, and p is told so in a moment
	return p.Err
}

// decided waits for the gate's decision about p, or for the others with whom p's
// statement may have gone: it was answered, or p is to see to their answers. It
// reports false when p's caller was gone before.
func (p *Permit) decided(gone <-chan struct{}) bool {
	var answered <-chan struct{} // never, unless it may share
	if p.offered != nil {
		answered = p.offered.Ready()
	}
	select {
	case <-p.ready:
	case <-answered:
		p.shared = true
	case <-gone:
		return false
	}
	return true
}
