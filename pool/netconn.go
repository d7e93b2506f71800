package pool

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// netConn is a socket that keeps its slot until the server has closed its end.
//
// A client that closes a socket knows nothing about the server's session: the
// backend may run its statement to the end before it looks. PostgreSQL closes
// the socket when the backend process exits, so end of file on the socket is
// the one event that proves the session gone. Close therefore only ends the
// sending half, and a goroutine reads on until end of file.
//
// When that never comes, the kernel decides: keepAlive probes an unresponsive
// peer and fails the read after about keepAliveBound. The slot counts as closing
// all that time (quarantined after quarantineAfter), and it comes free at
// closeBound at the latest.
type netConn struct {
	net.Conn
	slot       *slot
	closeBound time.Duration // 0: as long as the peer's kernel answers
	closeOnce  sync.Once
	ended      atomic.Bool // the server's end of file, or a broken connection, was seen
}

// keepAlive finds a dead peer in about 60 seconds: the first probe after 15 s
// of silence, three more 15 s apart.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3}

// keepAliveBound is how long keepAlive takes to give up a silent peer.
const keepAliveBound = time.Minute

// Read notes the end of the stream, so that Close need not look for it again.
func (c *netConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !isTimeout(err) {
		c.ended.Store(true)
	}
	return n, err
}

// Close ends the sending half at once and the socket when the server has done
// the same. It does not block.
func (c *netConn) Close() error {
	c.closeOnce.Do(func() {
		half, ok := c.Conn.(interface{ CloseWrite() error })
		if c.ended.Load() || !ok || half.CloseWrite() != nil {
			c.finish()
			return
		}
		go c.drain() // ends when the slot comes free, which Pool.Close waits for
	})
	return nil
}

// drain reads until the server closes its end.
func (c *netConn) drain() {
	var bound time.Time
	if c.closeBound > 0 {
		bound = time.Now().Add(c.closeBound)
	}
	_ = c.Conn.SetDeadline(bound) // also replaces a deadline that pgx left behind
	_, _ = io.Copy(io.Discard, c.Conn)
	c.finish()
}

func (c *netConn) finish() {
	_ = c.Conn.Close()
	c.slot.socketClosed()
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// dialFunc opens a network connection, as net.Dialer.DialContext does.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// slotKey carries the slot of a connect attempt to the dials it makes. A dial
// without one is a cancel request: the server spends no session on it.
type slotKey struct{}

// slotted makes dials count: each socket of a connect attempt belongs to the
// attempt's slot, and only one of them is open at a time.
func slotted(dial dialFunc, closeBound time.Duration, refused func() error) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		s, _ := ctx.Value(slotKey{}).(*slot)
		if s == nil {
			return dial(ctx, network, address)
		}
		if err := refused(); err != nil {
			return nil, err
		}
		select {
		case <-s.whenQuiet():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		s.socketOpens()
		nc, err := dial(ctx, network, address)
		if err != nil {
			s.socketClosed()
			return nil, err
		}
		s.socket = &netConn{Conn: nc, slot: s, closeBound: closeBound}
		return s.socket, nil
	}
}
