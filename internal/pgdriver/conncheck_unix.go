//go:build unix

package pgdriver

import (
	"net"
	"syscall"
)

// connCheck looks at a socket without blocking and without taking anything from
// it. Made once per connection, so that a look allocates nothing.
type connCheck struct {
	raw   syscall.RawConn
	look  func(fd uintptr)
	quiet bool
	byte  [1]byte
}

// newConnCheck returns nil when the connection has no socket to look at.
func newConnCheck(nc net.Conn) *connCheck {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	p := &connCheck{raw: raw}
	p.look = func(fd uintptr) {
		_, _, e := syscall.Recvfrom(int(fd), p.byte[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		p.quiet = e == syscall.EAGAIN || e == syscall.EWOULDBLOCK
	}
	return p
}

// isQuiet reports that nothing has arrived, as it should be between statements.
// Otherwise the server closed the connection, or sent something that only a full
// round trip can tell from a farewell.
func (p *connCheck) isQuiet() bool {
	if p == nil {
		return false
	}
	// Control, not Read: pgx may have left a reader waiting on the socket, after
	// a slow write, and Read would wait for that one.
	return p.raw.Control(p.look) == nil && p.quiet
}
