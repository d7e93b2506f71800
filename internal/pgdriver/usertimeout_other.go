//go:build !linux

package pgdriver

import "syscall"

// setUserTimeout leaves data that is not acknowledged to the system's own bound.
func setUserTimeout(syscall.RawConn) {}
