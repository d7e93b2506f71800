// Package hostname tells host names from other text. A connection string that
// was not escaped puts parts of the password where the host belongs, and what a
// resolver or a dialer says of a host quotes it.
package hostname

import (
	"net/netip"
	"strings"
	"unicode"
)

// Valid reports whether s can be a host of a connection string: empty for the
// default, an absolute path to a folder of Unix sockets, an IP address, or a
// name of letters, digits, hyphens and underscores.
func Valid(s string) bool {
	if s == "" || isPath(s) {
		return !strings.ContainsFunc(s, unicode.IsControl)
	}
	if address, err := netip.ParseAddr(s); err == nil {
		return isLabel(address.Zone()) || address.Zone() == ""
	}
	const longest = 253
	if len(s) > longest {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

// isPath recognizes what pgx dials as a Unix socket.
func isPath(s string) bool {
	windows := len(s) >= 3 && s[0] >= 'A' && s[0] <= 'Z' && s[1:3] == `:\`
	return s[0] == '/' && !strings.Contains(s, "@") || windows
}

// isLabel reports whether s can stand between the dots of a name. Letters
// beyond ASCII are the resolver's business.
func isLabel(s string) bool {
	const longest = 63
	return s != "" && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_'
	})
}
