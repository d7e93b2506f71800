package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// The *sql.DB that owns the real connections, and what database/sql does
// strangely.
//
// It keeps the limits that the settings name, by database/sql's own means:
// SetMaxOpenConns(PoolSize + MaxOverflow), SetMaxIdleConns(PoolSize),
// SetConnMaxLifetime(PoolRecycle). A connection belongs to it from the moment it
// has been dialed (adopt) until it is closed. While callers use it, or may at any
// moment, it is checked out (conn.held); when it rests it is idle here (goHome),
// until it is wanted again (fetch). None of that is in the way of a query.
//
// What has to be known about database/sql:
//
//   - It tries a call that ends with driver.ErrBadConn twice more, the last time
//     with a new connection and without the place in its queue. So a virtual
//     connection returns that error only where nothing may be tried again.
//   - Its own queue serves at random and without pool_timeout. Here it is
//     entered by nobody for longer than a close takes: the gate never lets more
//     connections exist than the limit. A dial can be adopted a moment before
//     database/sql has counted the connection off whose place it takes. It then
//     asks its opener for one, which gets driver.ErrBadConn from Connect: that
//     sends the one who waits back to look again.
//   - It ignores the error of ResetSession unless that is driver.ErrBadConn, and
//     so a virtual connection takes its real one when a statement comes.
//   - Conn, unlike all other calls, ends without a call of the driver: see
//     checkoutKind.
//   - It calls IsValid once for every checkout that did not end with
//     driver.ErrBadConn, and else Close: that is where a virtual connection
//     gives its real one back. Both may be called under a lock of the
//     connection's own, Close under those of the *sql.DB as well.
//   - Where a query panics it gives back neither the connection nor its locks;
//     see conn.shield.
//   - A context that has ended counts for nothing in a *sql.DB that is closed,
//     which is how isClosed asks.
//   - Raising its limit wakes nobody who waits; see lentDB.unlimit.

// owner is the connector of that *sql.DB. It never dials: dials run by
// themselves (internal/gate/dialing.go).
type owner struct{}

var _ driver.Connector = owner{}

// checkout is the context of taking a connection out: it brings in the one that
// was dialed, and brings back the one that was got.
type checkout struct {
	context.Context
	dialed, got *conn
}

type checkoutKey struct{}

// Value finds the checkout itself.
func (co *checkout) Value(key any) any {
	if _, ok := key.(checkoutKey); ok {
		return co
	}
	return co.Context.Value(key)
}

func checkoutOf(ctx context.Context) *checkout {
	co, _ := ctx.Value(checkoutKey{}).(*checkout)
	return co
}

// errNoneIdle ends a checkout that found nothing.
var errNoneIdle = errors.New("pool: no idle connection")

// Connect hands over the connection that was dialed.
func (owner) Connect(ctx context.Context) (driver.Conn, error) {
	co := checkoutOf(ctx)
	switch {
	case co == nil:
		return nil, driver.ErrBadConn // database/sql's opener
	case co.dialed == nil:
		return nil, errNoneIdle
	}
	co.got = co.dialed
	return co.dialed, nil
}

// Driver returns pgx's driver, for those who ask a *sql.DB what it talks to.
func (owner) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// ResetSession is called when the owner takes the connection out of its idle ones.
func (c *conn) ResetSession(ctx context.Context) error {
	co := checkoutOf(ctx)
	if co == nil {
		return driver.ErrBadConn
	}
	co.got = c
	return nil
}

// IsValid is called when the connection goes home, and says whether it may stay.
func (c *conn) IsValid() bool { return c.slot.RetiredFor() == connstate.CloseUnknown && !c.IsClosed() }

// openOwner makes the *sql.DB that owns the pool's connections.
func (p *Pool) openOwner() {
	p.db = sql.OpenDB(owner{})
	most, size := p.gate.Settings()
	p.limitOwner(most, size)
	p.db.SetConnMaxLifetime(p.cfg.PoolRecycle)
}

// checkOut takes one of the owner's idle connections, or brings in dialed.
func (p *Pool) checkOut(ctx context.Context, dialed *conn) (*conn, error) {
	co := &checkout{Context: ctx, dialed: dialed}
	held, err := p.db.Conn(co)
	if err != nil {
		return nil, err
	}
	co.got.held = held
	return co.got, nil
}

// adopt makes a dialed connection the owner's. Idle ones that come out first
// are handed to whoever has a use for them.
func (p *Pool) adopt(ctx context.Context, dialed *conn) error {
	for {
		c, err := p.checkOut(ctx, dialed)
		switch {
		case c == dialed && err == nil:
			return nil
		case err == nil:
			p.gate.BroughtBack(c.slot, time.Now())
		case !errors.Is(err, driver.ErrBadConn):
			return err
		}
	}
}

// fetch takes a connection that is idle at its owner for the holder of permit. It
// leaves permit without one when the owner has just closed it.
func (p *Pool) fetch(ctx context.Context, permit *gate.Permit) {
	ctx, cancel := context.WithDeadline(ctx, permit.WaitEnds())
	defer cancel()
	c, err := p.checkOut(ctx, nil)
	if err != nil {
		p.gate.Fetched(permit, nil)
		return
	}
	p.gate.Fetched(permit, c.slot)
}

// bringBack has all connections that are idle at the owner come out to the gate,
// for housekeeping. It reports false when there is none.
func (p *Pool) bringBack() (came bool) {
	for p.gate.AtHome() > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), minPeriod)
		c, err := p.checkOut(ctx, nil)
		cancel()
		if err != nil {
			return came
		}
		p.gate.BroughtBack(c.slot, time.Now())
		came = true
	}
	return came
}

// goHome gives the connection to its owner, to be idle there. The owner closes it
// where its limits say so.
func (c *conn) goHome() {
	held := c.held
	c.held = nil
	_ = held.Close()
}
