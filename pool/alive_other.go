//go:build !unix

package pool

import "net"

// peek cannot look at a socket here; a round trip has to tell.
func peek(net.Conn) (quiet bool) { return false }
