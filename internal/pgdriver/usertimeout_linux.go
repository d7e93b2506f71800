package pgdriver

import "syscall"

// tcpUserTimeout is TCP_USER_TIMEOUT, which package syscall does not name.
const tcpUserTimeout = 0x12

// setUserTimeout breaks the connection when the peer has not acknowledged what
// was sent for UserTimeout; by itself Linux would repeat it for a quarter of
// an hour, and send no keepalive meanwhile.
func setUserTimeout(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) { // without it, the system's own bound holds
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(UserTimeout.Milliseconds()))
	})
}
