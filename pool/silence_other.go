//go:build !linux

package pool

import "syscall"

// boundSilence leaves data that is not acknowledged to the system's own bound.
func boundSilence(syscall.RawConn) {}
