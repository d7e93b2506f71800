package pool

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// backend is a real connection as a virtual one uses it: conn over pgx, or
// foreignConn over whatever New was given.
//
// Its driver methods return driver.ErrBadConn only when nothing was done: then
// the virtual connection goes on with another.
type backend interface {
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger

	// ready makes the connection the holder's who has just been granted it. It
	// returns driver.ErrBadConn when the connection is dead.
	ready(ctx context.Context, p *gate.Permit) error
	// verdict is called when the holder gives the connection back: why it cannot
	// go on, or CloseUnknown.
	verdict(now time.Time) connstate.CloseReason
	// RetireFor notes why it is to be closed when it comes back.
	RetireFor(connstate.CloseReason)
	// goHome gives it to the *sql.DB that owns it, to be idle there.
	goHome()
	// close closes it. Its slot has been given up.
	close()
	// TellReclaimed sets what its holder is told once it has been taken away.
	TellReclaimed(error)
	// hangUp ends its session although its holder has not given it back.
	hangUp()
	// Traffic counts what went over the wire, and tells whether a statement runs.
	Traffic() (n uint32, busy bool)
	// Doing is the holder's activity. It is asked under the gate's lock.
	Doing() int32
	// Outlives tells whether the rows or the transaction of its holder have
	// outlived their context.
	Outlives() bool
	// Pgx is pgx's connection; nil if there is none.
	Pgx() *pgx.Conn
}

var (
	_ backend = (*conn)(nil)
	_ backend = (*foreignConn)(nil)
)
