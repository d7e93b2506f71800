//go:build !unix

package pgdriver

import "net"

// connCheck cannot look at a socket here; a round trip has to tell.
type connCheck struct{}

func newConnCheck(net.Conn) *connCheck { return nil }

func (*connCheck) isQuiet() bool { return false }
