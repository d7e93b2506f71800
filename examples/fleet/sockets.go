package main

import (
	"fmt"
	"os"
	"strings"
)

// The states of /proc/net/tcp in which a socket of the server is open:
// established, and closed by the client but not yet by the server.
const (
	tcpEstablished = "01"
	tcpCloseWait   = "08"
)

// sockets counts the connections to the server on a loopback port, without
// being one: on a server of 20, asking it would take a twentieth of what is
// measured. -1 where the system does not tell.
func sockets(port int) int {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return -1
	}
	local, n := fmt.Sprintf(":%04X", port), 0
	for _, line := range strings.Split(string(table), "\n") {
		f := strings.Fields(line)
		if len(f) > 3 && strings.HasSuffix(f[1], local) && (f[3] == tcpEstablished || f[3] == tcpCloseWait) {
			n++
		}
	}
	return n
}
