package pool

import (
	"context"
	"database/sql/driver"
	"errors"
	"runtime"

	"github.com/jackc/pgx/v5/stdlib"
)

// connector is where database/sql asks for one more connection. It never
// dials: the gate lets a caller through only when a connection is ready, in
// database/sql's free list or dialed and waiting here.
//
// It also keeps callers out of database/sql's own queue, where they would wait
// without pool_timeout and be served at random. That queue is entered by who
// finds as many connections open as are allowed and either none free, which the
// gate excludes, or has had driver.ErrBadConn twice: so Connect says
// errLookAgain instead, which brings the caller back to look. The keeper frees
// whoever gets in there all the same (keeper.free).
type connector struct{ g *gate }

var _ driver.Connector = connector{}

// Connect hands over a connection that was dialed already, to the holder of the
// permit in ctx.
func (k connector) Connect(ctx context.Context) (driver.Conn, error) {
	p := permitOf(ctx)
	if p == nil {
		return nil, driver.ErrBadConn // database/sql's own opener: this sends the caller it works for back to the free list
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
			return nil, errLookAgain
		}
		if c.awake(ctx) == nil {
			c.use(p)
			return c, nil
		}
		c.discard(closeBroken) // died while it waited to be used
	}
}

// errLookAgain ends a call of database/sql that is to be made again: see look.
var errLookAgain = errors.New("pool: look again")

// Driver returns pgx's driver, for those who ask a *sql.DB what it talks to.
func (connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }
