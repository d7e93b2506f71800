//go:build !linux

package pool

import "syscall"

// setUserTimeout leaves data that is not acknowledged to the system's own bound.
func setUserTimeout(syscall.RawConn) {}
