package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/jackc/pgx/v5/stdlib"
)

// leaser is the connector of Pool.DB: it opens nothing, it leases. Each of its
// connections is one of the pool's own, taken through the gate like any other
// and given back as soon as database/sql has no use for it.
type leaser struct{ p *Pool }

var _ driver.Connector = leaser{}

// Connect leases a connection for the caller of ctx.
func (l leaser) Connect(ctx context.Context) (driver.Conn, error) {
	kind := leaseKindOf(ctx)
	if kind == leaseForNudge {
		return nil, errNudge
	}
	k, err := l.p.enterFar(ctx)
	if err != nil {
		return nil, err
	}
	k.owner = kind == leaseForOwner
	if l.p.db == nil {
		return l.p.leaseForeign(k)
	}
	held, err := look(l.p, k, func() (*sql.Conn, error) { return l.p.db.Conn(k) })
	if err != nil {
		return nil, err
	}
	return &lease{conn: k.conn.Load(), held: held}, nil
}

// Driver returns pgx's driver.
func (leaser) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// lease is a connection of the pool while Pool.DB uses it. It has all that conn
// has, but for the end: it is given back, never kept.
type lease struct {
	*conn
	held *sql.Conn // keeps the connection checked out of the pool's own *sql.DB
	done bool      // the caller is done with it, and found nothing wrong
}

var (
	_ driver.Conn               = (*lease)(nil)
	_ driver.ConnBeginTx        = (*lease)(nil)
	_ driver.ConnPrepareContext = (*lease)(nil)
	_ driver.SessionResetter    = (*lease)(nil)
	_ driver.Validator          = (*lease)(nil)
	_ driver.NamedValueChecker  = (*lease)(nil)
)

// ResetSession is never needed: a lease is used once.
func (*lease) ResetSession(context.Context) error { return driver.ErrBadConn }

// IsValid makes database/sql give the lease back instead of keeping it idle,
// whatever its limits are set to: an idle lease would be a connection held.
func (l *lease) IsValid() bool {
	l.done = true
	return false
}

// Close gives the connection back to the pool. When database/sql has not asked
// before whether it is valid, it knows it as bad: because a function given to
// sql.Conn.Raw panicked, or returned driver.ErrBadConn.
func (l *lease) Close() error {
	if !l.done && !l.IsClosed() && !l.cancel.uncertain.Load() {
		l.retireFor(closeUnclean)
	}
	return l.held.Close()
}
