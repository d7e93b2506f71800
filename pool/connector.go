package pool

import (
	"context"
	"database/sql/driver"
	"runtime"

	"github.com/jackc/pgx/v5/stdlib"
)

// connector is where database/sql asks for one more connection. It never
// dials: the gate lets a caller through only when a connection is ready, in
// database/sql's free list or dialed and waiting here.
//
// database/sql's own limit on open connections is off: the gate keeps the
// limit. A caller could otherwise end up in database/sql's own queue, where it
// waits without pool_timeout, is served at random, and is forgotten when the
// connection meant for it lies in the free list already.
type connector struct{ g *gate }

var _ driver.Connector = connector{}

// Connect hands over a connection that was dialed already, to the holder of the
// permit in ctx. driver.ErrBadConn sends database/sql back to its free list.
func (k connector) Connect(ctx context.Context) (driver.Conn, error) {
	p := permitOf(ctx)
	if p == nil {
		return nil, driver.ErrBadConn // nobody gets past the gate
	}
	for {
		c, err := k.g.seek(ctx, p)
		if err != nil {
			return nil, err
		}
		if c == nil {
			// The last user of the connection meant for this caller is between
			// conn.IsValid, where its permit went back, and the free list.
			runtime.Gosched()
			return nil, driver.ErrBadConn
		}
		if c.awake(ctx) == nil {
			c.use(p)
			return c, nil
		}
		c.discard(closeBroken) // died while it waited to be used
	}
}

// Driver returns pgx's driver, for those who ask a *sql.DB what it talks to.
func (connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }
