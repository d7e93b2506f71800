package config

import "strings"

// withUnit turns a bare number into a Go duration by adding its variable's
// unit; everything else, durations included, is returned as it is. Adding
// rather than multiplying leaves the checks, overflow among them, to
// time.ParseDuration.
func withUnit(value, unit string) string {
	if !isBareNumber(value) {
		return value
	}
	switch unit {
	case "seconds":
		return value + "s"
	case "milliseconds":
		return value + "ms"
	}
	return value
}

// isBareNumber reports whether value is a decimal number and nothing else. NaN,
// Inf, 1e3, 0x10 and 1_000 are not: nobody means them.
func isBareNumber(value string) bool {
	digits := strings.TrimLeft(value, "+-")
	if len(value)-len(digits) > 1 {
		return false
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	return isDigits(whole + fraction)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// durationRule says why time.ParseDuration refused value: it is too long for
// the type (292 years), or no duration at all.
func durationRule(value string) string {
	if isBareNumber(value) {
		return quote(value) + " is longer than a duration can be"
	}
	return quote(value) + " is not a duration"
}
