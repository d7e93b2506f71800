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
type connector struct{ g *gate }

var _ driver.Connector = connector{}

// Connect hands over a connection that was dialed already, to the holder of the
// permit in ctx. driver.ErrBadConn sends database/sql back to its free list.
func (k connector) Connect(ctx context.Context) (driver.Conn, error) {
	p := permitOf(ctx)
	if p == nil {
		// database/sql's own opener, working for a caller that waits in its
		// queue: the error wakes that caller, who then comes here itself.
		return nil, driver.ErrBadConn
	}
	c, err := k.g.seek(ctx, p)
	if err != nil {
		return nil, err
	}
	if c == nil {
		// A connection was given back a moment ago and is about to be in the
		// free list: its former holder is between conn.IsValid and the list.
		runtime.Gosched()
		return nil, driver.ErrBadConn
	}
	c.use(p)
	return c, nil
}

// Driver returns pgx's driver, for those who ask a *sql.DB what it talks to.
func (connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }
