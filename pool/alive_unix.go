//go:build unix

package pool

import (
	"net"
	"syscall"
)

// peek looks at an idle socket without blocking and without taking anything
// from it: quiet when nothing has arrived, as it should be between statements.
// Otherwise the server closed it, or sent something that only a full round trip
// can tell from a farewell.
func peek(nc net.Conn) (quiet bool) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	// Control, not Read: pgx may have left a reader waiting on the socket, after
	// a slow write, and Read would wait for that one.
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, e := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = e == syscall.EAGAIN || e == syscall.EWOULDBLOCK
	})
	return quiet && err == nil
}
