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
	var answered <-chan struct{} // never, unless it may share
	if p.offered != nil {
		answered = p.offered.Ready()
	}
	select {
	case <-p.ready:
		return p.Err
	case <-answered:
		p.shared = true
		return nil
	case <-ctx.Done():
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
	// Decided meanwhile: it comes, or p was chosen to see to the answers of others, who
	// is told so in a moment.
	select {
	case <-p.ready:
		return p.Err
	case <-answered:
		p.shared = true
		return nil
	}
}
