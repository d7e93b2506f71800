package pool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// endGrace bounds how long a ROLLBACK, or a COMMIT whose session's context has
// ended, may take before its connection is given up. It keeps the connection
// of a cancelled request, and a dead network from holding the caller.
const endGrace = 5 * time.Second

var (
	errCommit     = errors.New("commit")
	errRolledBack = errors.New("rolled back")

	errWorkReturned = overBecause("its work has returned")
	errWorkPanicked = overBecause("its work panicked")
	errCommitted    = overBecause("it was committed")
	errUndone       = overBecause("it was rolled back")
	errBegun        = overBecause("the function of WithBegin has returned")

	errStuck      = errors.New("pool: a statement of another goroutine still runs, and does not end with its connection; that is closed as soon as the statement returns")
	errScanStuck  = errors.New("pool: Row.Scan has not returned; a Scanner panicked, which database/sql cannot survive, or waits for something: recover from panics in Scan methods")
	errScanFailed = fmt.Errorf("%w: %w", ErrSessionDone, errScanStuck)
)

// ending is how a session ends.
type ending struct {
	commit bool  // else roll back
	asked  bool  // by the work itself, which wants to know what became of the commit
	aside  bool  // from another goroutine than the work's, which may be reading rows
	why    error // what later statements get
	lost   error // why the work cannot be committed, if that is why it ends
}

// end ends the work, of which err is the outcome, and returns its own.
func (s *Session) end(err error) error {
	s.returned = true
	undone := s.finish(ending{commit: err == nil, why: errWorkReturned})
	if err != nil && undone != nil {
		return errors.Join(err, undone)
	}
	if err != nil {
		return err
	}
	return undone
}

// abandon frees the session's context, and rolls back if the work panicked or
// left its goroutine. The panic goes on, so a failed rollback is logged.
func (s *Session) abandon() {
	defer s.cancel()
	if s.returned {
		return
	}
	if err := s.finish(ending{why: errWorkPanicked}); err != nil {
		s.pool.log.Error("rollback after a panic failed", append(s.logAttrs(), loggable(err)...)...)
	}
}

// ctxEnded rolls back when the session's context ends before the work does. It
// does not cut off a COMMIT under way, or nobody would know whether it was done.
func (s *Session) ctxEnded(life *unitContext) {
	grace := time.AfterFunc(endGrace, life.cancel)
	defer grace.Stop()
	cause := plainCause(s.ctx)
	_ = s.finish(ending{aside: true, why: fmt.Errorf("%w: %w", ErrSessionDone, cause), lost: rolledBack(cause)})
}

// scanStuck ends the session of a Row.Scan that does not return: see scanGrace.
func (s *Session) scanStuck() {
	s.pool.log.Error("session ended", append(s.logAttrs(), "error", errScanStuck)...)
	_ = s.finish(ending{aside: true, why: errScanFailed, lost: rolledBack(errScanStuck)})
}

func overBecause(why string) error { return fmt.Errorf("%w: %s", ErrSessionDone, why) }

func rolledBack(cause error) error { return fmt.Errorf("pool: %w: %w", errRolledBack, cause) }

// finish ends the session once. Whoever comes second waits until the
// connection was given back and learns what the first one did: a commit why
// the work is lost, a rollback why it could not be undone.
func (s *Session) finish(e ending) error {
	s.mu.Lock()
	if s.over == nil {
		s.over, s.settled = e.why, make(chan struct{})
		beginning, abort := s.beginning, s.abort
		s.mu.Unlock()
		s.settle(e, beginning, abort)
	} else {
		s.mu.Unlock()
		<-s.settled
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.commit {
		return s.lost
	}
	return s.undone
}

// settle waits for an attempt to begin, which gives back its own connection,
// or else ends the unit.
func (s *Session) settle(e ending, beginning <-chan struct{}, abort func()) {
	defer close(s.settled)
	if beginning != nil {
		if abort != nil {
			abort()
		}
		<-beginning
	}
	s.mu.Lock()
	u := s.unit
	s.mu.Unlock()
	if u == nil {
		s.mu.Lock()
		s.closeJoinedLocked()
		s.mu.Unlock()
		return
	}
	lost, undone := s.endUnit(u, e)
	s.mu.Lock()
	s.lost, s.undone, s.unit = lost, undone, nil
	s.committed, s.connLost = e.commit && lost == nil, u.conn.lost
	s.closeJoinedLocked()
	s.mu.Unlock()
}

// closeJoinedLocked ends the goroutine of the *sql.DB that DB returned. Nothing
// that is still used of it is waited for.
func (s *Session) closeJoinedLocked() {
	if s.joined != nil {
		_ = s.joined.Close()
	}
}

// endUnit commits or rolls back and gives the connection back.
func (s *Session) endUnit(u *unit, e ending) (lost, undone error) {
	defer u.life.end()
	if !u.conn.claim(s.ctx, e.commit) {
		return errors.Join(e.lost, errStuck), errStuck
	}
	defer u.conn.mu.Unlock()
	if s.opts.autocommit {
		e.lost = nil // what was done stays done
	} else if s.ctx.Err() != nil && e.commit {
		e.lost = rolledBack(plainCause(s.ctx))
	}
	if e.commit && e.lost == nil {
		u.conn.readsOnly = u.conn.readsOnly && !e.asked
		return u.commitLocked(s.ctx, e.why), nil
	}
	if err := u.rollbackLocked(e); err != nil {
		undone = fmt.Errorf("pool: roll back: %w", err)
		if e.lost != nil {
			e.lost = errors.Join(e.lost, undone)
		}
	}
	return e.lost, undone
}

// commitLocked commits. Rows that are open are read to their end before, or the
// statement would not have been executed to its end: unless ctx, the session's,
// ends meanwhile.
func (u *unit) commitLocked(ctx context.Context, why error) error {
	if len(u.conn.rows) > 0 {
		stop := context.AfterFunc(ctx, u.conn.interrupt)
		defer stop()
	}
	if err := u.conn.finishLocked(true, why); err != nil {
		return fmt.Errorf("pool: %w: %w", errCommit, err)
	}
	return nil
}

func (u *unit) rollbackLocked(e ending) error {
	grace := time.AfterFunc(endGrace, u.life.cancel)
	defer grace.Stop()
	if e.aside {
		u.conn.spoilReadLocked()
	}
	return u.conn.finishLocked(false, e.why)
}

// Unserved returns why the session got no connection when it last wanted one; nil
// when it got one, or never asked. Adapters for frameworks answer by it when a
// handler put an error of its own in the place of the pool's: see RetryAfter.
// It may be called concurrently, and after the session's end. Nil for a nil Session.
func (s *Session) Unserved() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unserved
}

// isReading reports whether rows are open that the session has handed out.
func (s *Session) isReading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unit != nil && s.unit.conn.reading.Load() > 0
}

// hasCommitted reports whether the session had a connection and committed its work.
func (s *Session) hasCommitted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.committed
}

// hasLostConn reports whether the session ended because its connection did, so
// that nothing of its transaction is left.
func (s *Session) hasLostConn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connLost
}

// mayHaveCommitted reports whether the session's work is, or may be, committed.
func (s *Session) mayHaveCommitted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.committed || errors.Is(s.lost, ErrCommitUnknown)
}
