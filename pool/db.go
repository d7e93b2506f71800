package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"time"
)

// DB returns a plain *sql.DB for libraries that insist on one. It goes the same
// way as the pool's own methods: each of its statements, transactions and
// connections passes the gate, with the pool's timeout, order, statistics and
// leak detection, prepared statements included.
//
// Its connections are virtual: they cost nothing, and take one of the pool's for
// as long as they are used. So what its Stats say is about virtual connections
// (OpenConnections is at least one while the pool is open, which some health
// checks want to see); see [Pool.Stats] for the real ones. SetMaxIdleConns and
// SetConnMaxLifetime have no effect that matters. SetMaxOpenConns would have callers
// wait in database/sql's queue, before the pool's: such limits are removed within
// a second, and whoever waited there goes on to the pool, with pool_timeout
// before them.
//
// Closing it, as some libraries do, does not close the pool, and DB then returns a
// new one.
func (p *Pool) DB() *sql.DB { return p.lent.get(p) }

// Connector returns what DB opens its connections with, for wrappers of
// database/sql that make a *sql.DB of their own:
//
//	db := otelsql.OpenDB(p.Connector())
//
// All that [Pool.DB] says of its *sql.DB holds for that one, but for what somebody
// else sets on it: leave its SetMaxOpenConns alone, for callers would then wait in
// database/sql's queue. The caller closes it, before the pool. (A wrapper that
// takes a driver, p.DB().Driver() say, opens connections past the pool.)
func (p *Pool) Connector() driver.Connector { return virtuals{p, sharesWhenTold} }

// maxVirtualIdle is how many virtual connections are kept. Each is about a
// kilobyte; more are made as they are needed.
const maxVirtualIdle = 1024

// newFront returns a *sql.DB of virtual connections.
func (p *Pool) newFront(shares sharing) *sql.DB {
	db := sql.OpenDB(virtuals{p, shares})
	db.SetMaxIdleConns(maxVirtualIdle)
	return db
}

// lentDB is what DB returns. It is not the *sql.DB that the pool's own methods
// use: that one no library can close or limit.
type lentDB struct {
	mu     sync.Mutex // guards db and closed
	db     *sql.DB
	closed bool // for good
}

func (l *lentDB) get(p *Pool) *sql.DB {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db == nil || !l.closed && isClosed(l.db) {
		l.db = p.newFront(sharesWhenTold)
		showOpen(l.db)
	}
	if l.closed {
		_ = l.db.Close()
	}
	return l.db
}

// showOpen sees to it that at least one connection is open.
func showOpen(db *sql.DB) {
	if db.Stats().OpenConnections > 0 {
		return
	}
	connect(db, nil)
}

// unlimit undoes limits that somebody set on the lent *sql.DB. They cannot
// raise the pool's, but they would make callers wait in database/sql's queue,
// which knows neither order nor pool_timeout. It reports whether there were any.
func (l *lentDB) unlimit() (were bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db == nil || l.closed {
		return false
	}
	if l.db.Stats().MaxOpenConnections > 0 {
		l.db.SetMaxOpenConns(0)
		connect(l.db, errNudge) // that makes database/sql look after those who wait in its queue
		were = true
	}
	l.db.SetMaxIdleConns(maxVirtualIdle)
	l.db.SetConnMaxLifetime(0)
	l.db.SetConnMaxIdleTime(0)
	showOpen(l.db)
	return were
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

// nudgeKey marks the context of a Connect that nobody wants a connection of.
type nudgeKey struct{}

// nudge is its value: how it is to end.
type nudge struct{ err error }

var errNudge = errors.New("pool: no connection was wanted")

// connect has db open a virtual connection, or fail to.
func connect(db *sql.DB, err error) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), nudgeKey{}, nudge{err}), time.Second)
	defer cancel()
	if c, err := db.Conn(ctx); err == nil {
		_ = c.Close() // nobody waits
	}
}

// isClosed asks with a context that has ended: a *sql.DB looks at that second.
func isClosed(db *sql.DB) bool {
	_, err := db.Conn(canceled(context.Background()))
	return !errors.Is(err, context.Canceled)
}
