package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// ErrCommitUnknown is what errors.Is finds in the error of a commit of which
// nobody can tell whether it was done: its connection was lost after COMMIT had
// been sent. Only the data tells. Work that is repeated after it may be done twice.
var ErrCommitUnknown = pgdriver.ErrCommitUnknown

// Bounds of Retry.
const (
	retryAttempts = 6                      // the first one included
	retryBase     = 10 * time.Millisecond  // the first pause is shorter than this
	retryCap      = 500 * time.Millisecond // and none is longer than this
	retryShare    = 0.1                    // retries for each call, in the long run
	retryBurst    = 20                     // retries that may be saved up
)

// Retry runs fn as WithSession does, and again when PostgreSQL's advice is to do
// so: after a serialization failure (40001), a deadlock (40P01), or when the
// connection was lost before COMMIT was sent, with which the transaction is
// undone. fn must have no effect outside its session, or one that may happen twice.
//
// It pauses before each new try, holding no connection, for a random time up to 10,
// 20, 40 … 500 ms, and gives up after six tries, when ctx would end during the
// pause, or when the pool's retries, one for ten calls in the long run and 20 at
// once, are used up: so retries add little to an overload. The error is that of
// the last try, and says how many there were.
//
// Nothing is tried again after a commit: not when its outcome is unknown, for
// which the error satisfies errors.Is(err, ErrCommitUnknown), nor when fn called
// Session.Commit. WithAutocommit is refused: what was done would be done again.
func (p *Pool) Retry(ctx context.Context, fn func(ctx context.Context, s *Session) error, opts ...SessionOption) error {
	o, err := p.sessionOptions(opts)
	if err == nil && o.autocommit {
		err = errors.New("pool: Retry excludes WithAutocommit: what a failed try has done would stay, and be done again")
	}
	if err != nil {
		return err
	}
	p.retries.earn()
	for try := 1; ; try++ {
		again, err := p.try(ctx, fn, o)
		if !again || ctx.Err() != nil {
			return err
		}
		if why := p.mayRetry(ctx, try); why != "" {
			return fmt.Errorf("pool: gave up after %d tries, because %s: %w", try, why, err)
		}
	}
}

// try runs fn once and reports whether it may run again.
func (p *Pool) try(ctx context.Context, fn func(ctx context.Context, s *Session) error, o sessionOptions) (again bool, err error) {
	var s *Session
	err = p.withSession(ctx, o, func(ctx context.Context, made *Session) error {
		s = made
		return fn(ctx, made)
	})
	switch {
	case err == nil, s.mayHaveCommitted(), errors.Is(err, ErrTransactionEnded):
		return false, err
	}
	return isConflict(err) || s.hasLostConn(), err
}

// isConflict reports whether the server undid a transaction only because of what
// ran beside it.
func isConflict(err error) bool {
	code := pgdriver.SQLState(err)
	return code == "40001" || code == "40P01"
}

// mayRetry pauses before a new try, or says why there is none.
func (p *Pool) mayRetry(ctx context.Context, tries int) (refusal string) {
	if tries >= retryAttempts {
		return "there are no more"
	}
	pause := rand.N(min(retryBase<<(tries-1), retryCap)) //nolint:gosec // no secret
	if d, ok := ctx.Deadline(); ok && time.Until(d) <= pause {
		return "the context would end before the next"
	}
	if !p.retries.spend() {
		return "the pool's retries are used up"
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ""
	case <-ctx.Done():
		return "the context has ended"
	}
}

// retryBudget bounds a pool's retries to a share of its calls.
type retryBudget struct {
	mu    sync.Mutex
	spent float64 // of retryBurst
}

func (b *retryBudget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(0, b.spent-retryShare)
}

func (b *retryBudget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent+1 > retryBurst {
		return false
	}
	b.spent++
	return true
}
