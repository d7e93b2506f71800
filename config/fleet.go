package config

import (
	"strconv"
	"strings"
)

// FleetMode says how strictly the fleet's budget is kept. The zero value is
// not valid; [Default] sets FleetWarn.
type FleetMode string

// The fleet modes.
const (
	// FleetOff does not look at other replicas.
	FleetOff FleetMode = "off"
	// FleetWarn reports a fleet that could ask for too much, and changes nothing.
	FleetWarn FleetMode = "warn"
	// FleetEnforce keeps each replica within its part of the budget.
	FleetEnforce FleetMode = "enforce"
)

// Share is a part of the server's connections: absolute ("40") or relative
// ("50%"). The zero value means all of them.
type Share string

// Of returns how many of total connections the share stands for, never more
// than total and never less than 0: "50%" of 27 is 13. A Share that
// [Config.Validate] refuses stands for none.
func (s Share) Of(total int) int {
	total = max(total, 0)
	if s == "" {
		return total
	}
	n, percent, ok := s.parse()
	switch {
	case !ok:
		return 0
	case percent:
		// Split, so that no total can overflow.
		return total/100*n + total%100*n/100
	}
	return min(n, total)
}

// Absolute reports whether s is a number of connections, not a percentage.
func (s Share) Absolute() bool {
	_, percent, ok := s.parse()
	return ok && !percent
}

// parse reads a number of connections or a percentage; ok is false for
// anything else, and for what is out of range.
func (s Share) parse() (n int, percent, ok bool) {
	digits, percent := strings.CutSuffix(string(s), "%")
	n64, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n64 < 1 {
		return 0, percent, false
	}
	if percent {
		return int(n64), true, n64 <= 100
	}
	return int(n64), false, n64 <= maxConnections
}
