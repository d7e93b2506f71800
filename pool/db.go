package pool

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// DB returns a plain *sql.DB for libraries that insist on one. Each of its
// checkouts passes the pool's gate, with the pool's timeout, order, statistics
// and leak detection, prepared statements included. It keeps nothing idle
// itself. Its own limits are not needed; if a library sets them, they are
// undone within a second. Its DBStats are not the pool's: see [Pool.Stats].
// Closing it, as some libraries do, does not close the pool, and DB then
// returns a new one.
func (p *Pool) DB() *sql.DB { return p.lent.get(leaser{p}) }

// lentDB is what DB returns. It is not the *sql.DB that the pool itself leases
// through: that one no library can close.
type lentDB struct {
	mu     sync.Mutex // guards db and closed
	db     *sql.DB
	closed bool // for good
}

func (l *lentDB) get(k leaser) *sql.DB {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db == nil || !l.closed && isClosed(l.db) {
		l.db = newLeases(k)
	}
	if l.closed {
		_ = l.db.Close()
	}
	return l.db
}

// newLeases returns a *sql.DB that opens nothing and keeps nothing.
func newLeases(k leaser) *sql.DB {
	db := sql.OpenDB(k)
	db.SetMaxIdleConns(0)
	return db
}

// unlimit undoes limits that somebody set on the lent *sql.DB. They cannot
// raise the pool's, but they would make callers wait in database/sql's queue,
// which knows neither order nor pool_timeout. It reports whether there were any.
func (l *lentDB) unlimit() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db == nil {
		return false
	}
	l.db.SetMaxIdleConns(0)
	if l.db.Stats().MaxOpenConnections == 0 {
		return false
	}
	l.db.SetMaxOpenConns(0)
	nudge(l.db)
	return true
}

func (l *lentDB) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.db == nil {
		return nil
	}
	return l.db.Close()
}

// leaseKey marks the context of a Connect that is not for just any call.
type leaseKey struct{}

type leaseKind int

const (
	leaseForCall  leaseKind = iota // no mark: if its connection is dead, the call takes another
	leaseForOwner                  // for Pool.Conn, whose caller has to make do with what it gets
	leaseForNudge                  // is to fail
)

func leaseKindOf(ctx context.Context) leaseKind {
	k, _ := ctx.Value(leaseKey{}).(leaseKind)
	return k
}

var errNudge = errors.New("pool: no connection was wanted")

// nudge has a connect of db fail, which makes database/sql look after those who
// wait in its own queue.
func nudge(db *sql.DB) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = db.Conn(context.WithValue(ctx, leaseKey{}, leaseForNudge))
}

// isClosed asks with a context that has ended: a *sql.DB looks at that second.
func isClosed(db *sql.DB) bool {
	_, err := db.Conn(canceled(context.Background()))
	return !errors.Is(err, context.Canceled)
}
