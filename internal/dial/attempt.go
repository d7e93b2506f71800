package dial

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// attempt is one try to connect, as its sockets see it. pgx tries one address
// after the other, each with and without TLS if sslmode says so; all of that
// happens under one slot, so at most one of the sockets is open at a time.
type attempt struct {
	slot    *gate.Slot
	hosts   *hosts
	network pgdriver.DialFunc
	conn    *pgdriver.Conn // which it is for
	share   time.Duration  // for each address, if there are several
	last    string         // the address tried last
	began   time.Time      // when its turn began
	choosy  bool           // the hosts are not alike: target_session_attrs chooses among them
	refusal atomic.Pointer[pgconn.PgError]
}

// slotKey marks the context of a connect attempt. A dial without it is for a
// cancel request.
type slotKey struct{}

// prepare makes cc connect under the attempt.
func (a *attempt) prepare(ctx context.Context, cc *pgx.ConnConfig, timeout time.Duration) (context.Context, error) {
	cc.DialFunc = a.dial
	a.choosy = cc.ValidateConnect != nil
	next := cc.OnPgError
	cc.OnPgError = func(pc *pgconn.PgConn, pg *pgconn.PgError) bool {
		if pg.Code == pgdriver.StateTooManyConnections {
			a.refusal.Store(pg)
		}
		return next(pc, pg)
	}
	err := a.hosts.spread(ctx, cc, timeout)
	a.share = cc.ConnectTimeout
	return context.WithValue(ctx, slotKey{}, a), err
}

// dial opens the next socket of the attempt, unless the server has said that it
// has no room: pgx would ask again for each address and TLS variant. Where
// target_session_attrs tells the hosts apart, another host may still have room.
func (a *attempt) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if ctx.Value(slotKey{}) != a {
		return a.dialCancel(ctx, network, address)
	}
	if pg := a.refusal.Load(); pg != nil && (!a.choosy || address == a.last) {
		return nil, pg
	}
	a.turn(address)
	if err := a.quiet(ctx); err != nil {
		return nil, err
	}
	c := pgdriver.NewSocket(func(s *pgdriver.Socket) pgdriver.Hold { return a.slot.SocketOpens(s) })
	defer func() {
		if c.Conn == nil { // also when WithDialFunc's function panicked
			c.SessionEnded()
		}
	}()
	nc, err := a.network(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.Conn = nc
	return c, nil
}

// turn notes which address is tried now, and whether the one before took all its time.
func (a *attempt) turn(address string) {
	if address == a.last {
		return // its other TLS variant
	}
	now := time.Now()
	if a.last != "" && now.Sub(a.began) >= a.share {
		a.hosts.isSilent(a.last)
	}
	a.last, a.began = address, now
}

// dialCancel opens a connection for a cancel request. The server spends no
// session on it, and so no slot is taken. pgx would let it take 15 s, and keep
// the connection that it belongs to open meanwhile.
func (a *attempt) dialCancel(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, pgdriver.CancelBound)
	defer cancel()
	nc, err := a.network(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return a.conn.ForCancel(nc), nil
}

// quietBound is how long the server may take to end the session of one socket
// before the attempt goes on with the next.
const quietBound = time.Second

var errStillOpen = errors.New("the previous connect attempt still holds a server session, and the pool is at its limit")

// quiet waits for the end of the socket tried before, or counts it elsewhere.
func (a *attempt) quiet(ctx context.Context) error {
	timer := time.NewTimer(quietBound)
	defer timer.Stop()
	select {
	case <-a.slot.WhenQuiet():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	if !a.slot.Split() {
		return errStillOpen
	}
	return nil
}
