package pool

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
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
)

// ending is how a session ends.
type ending struct {
	commit bool  // else roll back
	last   bool  // the work is over: nobody uses the session's context or rows any more
	aside  bool  // from another goroutine than the work's, which may be reading rows
	why    error // what later statements get
	lost   error // why the work cannot be committed, if that is why it ends
}

// end ends the work, of which err is the outcome, and returns its own.
func (s *Session) end(err error) error {
	s.returned = true
	undone := s.finish(ending{commit: err == nil, last: true, why: errWorkReturned})
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
	if err := s.finish(ending{last: true, why: errWorkPanicked}); err != nil {
		s.pool.log.Error("rollback after a panic failed", "pool", s.pool.cfg.Name, "name", nameOf(s.ctx), "error", err)
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
		s.letGo(e)
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
		return
	}
	lost, undone := s.endUnit(u, e)
	s.mu.Lock()
	s.lost, s.undone, s.unit, s.rows = lost, undone, nil, nil
	s.mu.Unlock()
}

// endUnit commits or rolls back and gives the connection back.
func (s *Session) endUnit(u *unit, e ending) (lost, undone error) {
	defer u.life.end()
	if s.opts.autocommit {
		e.lost = nil // what was done stays done
	} else if s.ctx.Err() != nil && e.commit {
		e.lost = rolledBack(plainCause(s.ctx))
	}
	s.letGo(e)
	if e.commit && e.lost == nil {
		return commitUnit(u), nil
	}
	if err := rollbackUnit(u); err != nil {
		undone = fmt.Errorf("pool: roll back: %w", err)
		if e.lost != nil {
			e.lost = errors.Join(e.lost, undone)
		}
	}
	return e.lost, undone
}

// letGo closes the rows that the work left open: to end, the connection must
// be free, and bytes scanned into sql.RawBytes keep it until Close. A bare
// connection also waits for rows of prepared statements, which only know the
// session's context.
func (s *Session) letGo(e ending) {
	if e.last && s.opts.autocommit {
		s.cancel()
	}
	if e.aside {
		return
	}
	for _, rows := range s.tracked() {
		_ = rows.Close()
	}
}

func commitUnit(u *unit) error {
	if err := u.end.Commit(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		return fmt.Errorf("pool: %w: %w", errCommit, err)
	}
	return nil
}

func rollbackUnit(u *unit) error {
	grace := time.AfterFunc(endGrace, u.life.cancel)
	defer grace.Stop()
	err := u.end.Rollback()
	if errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) {
		return nil // the driver ended it first
	}
	return err
}

// track remembers rows to close at the end, and forgets those closed since.
func (s *Session) track(rows *sql.Rows) {
	open := s.openRows()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(open, rows)
}

// openRows returns the rows handed out and not closed. Closed rows have no
// columns any more: database/sql offers no other way to ask.
func (s *Session) openRows() []*sql.Rows {
	return slices.DeleteFunc(s.tracked(), func(rows *sql.Rows) bool {
		_, err := rows.Columns()
		return err != nil
	})
}

func (s *Session) tracked() []*sql.Rows {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.rows)
}

// neverServed returns why the session got no connection when it last wanted
// one; nil when it got one or never asked.
func (s *Session) neverServed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unserved
}
