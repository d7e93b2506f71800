package pool

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

var (
	// ErrSessionDone is returned by statements of a Session that has ended.
	// The text says how it ended.
	ErrSessionDone = errors.New("pool: session is over")
	// ErrNoSession is returned by statements of a nil Session, which is what
	// FromContext returns where no session is.
	ErrNoSession = errors.New("pool: no session in this context; wrap the handler with Middleware or call WithSession")
)

// Session is one unit of work on one connection.
//
// It takes the connection at its first statement, not before, and begins a
// transaction then: BEGIN travels with the statement, in one round trip, where the
// statement is a single one in the extended protocol and no pooler is in between. An
// error of BEGIN is the statement's, and the next one tries again. As long as the server
// has not answered BEGIN, a connection that turns out to be dead is replaced by
// another. The transaction is committed or rolled back, and the
// connection given back, when the work ends: see WithSession, Middleware and
// Background, which make sessions. A session that runs no statement costs no
// connection.
//
// The transaction belongs to the session's context, the one handed to the
// work. A statement may run under a shorter one: that bounds the statement,
// and the wait for a connection if it is the first, but not the transaction.
// When the session's own context ends, the transaction is rolled back and the
// connection given back at once, even while the work goes on.
//
// A Session is, as a *sql.Tx is, for one goroutine at a time. Statements from
// several goroutines are safe, and two first statements share one connection,
// but PostgreSQL reads one result after the other: close Rows before the next
// statement. Rows still open when the session ends are closed.
type Session struct {
	pool   *Pool
	opts   sessionOptions
	ctx    context.Context // of the whole work; FromContext finds the session in it
	cancel context.CancelFunc
	outer  *Session   // the session around this one, of any pool; nil if none
	route  string     // a name for ctx; "" for what ctx has
	scope  gate.Scope // what it holds, for the recognition of nested acquisitions

	savepoints atomic.Int64 // begun through DB

	returned bool // the work returned, rather than panicked; only its own goroutine looks

	mu        sync.Mutex    // guards what follows; not held while anything waits
	beginning chan struct{} // closed when the first statement has, or has not, got its connection; nil when none tries
	abort     func()        // gives up that attempt
	unit      *unit         // the connection; nil before the first statement
	unserved  error         // why the last attempt to get a connection failed; nil after a success
	over      error         // what statements get from now on; nil while the session is open
	settled   chan struct{} // closed when the connection was given back; made with over
	lost      error         // why a commit was not possible, or failed
	undone    error         // why a rollback failed
	committed bool          // the transaction was committed
	connLost  bool          // the connection broke, or was ended by the server
	joined    *sql.DB       // what DB returned; may be nil
}

// dbtx is what a session offers and what it needs: the interface that query
// generators call DBTX.
type dbtx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

var _ dbtx = (*Session)(nil)

// WithSession runs fn with a session of its own. When fn returns nil the work
// is committed; when it returns an error, panics or exits its goroutine, the
// work is rolled back and the error, the panic or the exit goes on unchanged.
//
// When ctx has ended by the time fn returns nil, the work is rolled back too
// and the error satisfies errors.Is for ctx.Err(). A commit that fails is
// returned ("pool: commit: …"); a rollback that fails is joined to fn's error.
// A nil error means that the work was committed, or that fn itself ended the
// session or ran no statement.
//
// The context given to fn carries the session (see FromContext) and ends when
// WithSession returns. A WithSession inside fn is a separate unit of work with
// a second connection: it neither sees uncommitted rows of the outer one nor
// is undone with it, and at the pool's limit it can wait for itself. Pass the
// session on instead.
func (p *Pool) WithSession(ctx context.Context, fn func(ctx context.Context, s *Session) error, opts ...SessionOption) error {
	o, err := p.sessionOptions(opts)
	if err != nil {
		return err
	}
	return p.withSession(ctx, o, fn)
}

func (p *Pool) withSession(ctx context.Context, o sessionOptions, fn func(ctx context.Context, s *Session) error) error {
	ctx, unlabel := p.labelled(ctx, nameOf(ctx))
	defer unlabel()
	s := p.startSession(ctx, o, FromContext(ctx))
	defer s.abandon()
	return s.end(fn(s.ctx, s))
}

// FromContext returns the innermost session of any pool that ctx carries, or
// nil. Statements of a nil session fail with ErrNoSession, so that a handler
// may use the result without looking.
func FromContext(ctx context.Context) *Session {
	s, _ := ctx.Value(sessionKey{}).(*Session)
	return s
}

// FromContext returns the innermost session of this pool that ctx carries, or
// nil: for services with more than one pool.
func (p *Pool) FromContext(ctx context.Context) *Session {
	s := FromContext(ctx)
	for s != nil && s.pool != p {
		s = s.outer
	}
	return s
}

// ExecContext runs a statement that returns no rows, as (*sql.Tx).ExecContext.
func (s *Session) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	u, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	r, err := u.ExecContext(ctx, query, args...)
	return r, s.translate(err)
}

// QueryContext runs a statement that returns rows, as (*sql.Tx).QueryContext.
// The session closes them when it ends, if the caller has not: reading on fails
// with ErrSessionDone.
func (s *Session) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	u, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := u.QueryContext(statementContext{ctx, nil}, query, args...)
	return rows, s.translate(err)
}

// QueryRowContext runs a statement that returns at most one row, as
// (*sql.Tx).QueryRowContext. Scan returns the error when no connection was had.
// The row has been read by then, so a Row that is never scanned keeps nothing open.
//
// A Scanner must not panic in Row.Scan: database/sql then waits for ever for a
// lock that the same goroutine holds. The session is ended after 5 s and its
// connection given back, but the goroutine is lost. In Rows.Scan a panic goes
// through, if the caller does not defer Rows.Close, which waits likewise.
func (s *Session) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	u, err := s.acquire(ctx)
	if err != nil {
		return rowOf(err)
	}
	row := u.QueryRowContext(statementContext{ctx, s.scanStuck}, query, args...)
	if err := row.Err(); err != nil {
		if other := s.translate(err); other != err {
			return rowOf(other)
		}
	}
	return row
}

// PrepareContext prepares a statement on the session's connection, as
// (*sql.Tx).PrepareContext. It lives until the session ends.
func (s *Session) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	u, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	stmt, err := u.PrepareContext(ctx, query)
	return stmt, s.translate(err)
}

// translate gives an error of database/sql the form that callers act on. A
// panic of the caller's code in the driver goes on as such.
func (s *Session) translate(err error) error {
	if panicked, ok := err.(*pgdriver.PanicError); ok {
		panic(panicked.Value)
	}
	if err != sql.ErrTxDone {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.over, err)
}

// Commit ends the session before the work ends, for callers that want to see
// the commit's error themselves: a handler that answers 409 to a deferred
// constraint, say. Later statements fail with ErrSessionDone. A second Commit
// returns what the first did.
func (s *Session) Commit() error {
	if s == nil {
		return ErrNoSession
	}
	if s.isLent() {
		return errLent
	}
	return s.finish(ending{commit: true, asked: true, why: errCommitted})
}

// Rollback ends the session before the work ends and undoes what it did, which
// is not an error to WithSession or Middleware. Later statements fail with
// ErrSessionDone.
func (s *Session) Rollback() error {
	if s == nil {
		return ErrNoSession
	}
	if s.isLent() {
		return errLent
	}
	return s.finish(ending{why: errUndone})
}
