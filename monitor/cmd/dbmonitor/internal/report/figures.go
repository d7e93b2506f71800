package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Seconds prints a duration given in seconds, short enough for a column.
func Seconds(s float64) string {
	switch {
	case math.IsNaN(s) || s < 0:
		return "?"
	case s == 0:
		return "0"
	case s < 0.001:
		return trimmed(s*1e6, 0) + "µs"
	case s < 1:
		return trimmed(s*1e3, 1) + "ms"
	case s < 10:
		return trimmed(s, 1) + "s"
	case s < 60:
		return trimmed(math.Floor(s), 0) + "s"
	case s < 3600:
		return two(int(s)/60, "m", int(s)%60, "s")
	case s < 86400:
		return two(int(s)/3600, "h", int(s)/60%60, "m")
	case s < 1000*86400:
		return two(int(s)/86400, "d", int(s)/3600%24, "h")
	default:
		return ">999d"
	}
}

// two prints two units, the smaller one only when there is something of it.
func two(n int, unit string, rest int, smaller string) string {
	if rest == 0 {
		return fmt.Sprintf("%d%s", n, unit)
	}
	return fmt.Sprintf("%d%s%02d%s", n, unit, rest, smaller)
}

// Duration prints a duration as Seconds does.
func Duration(d time.Duration) string { return Seconds(d.Seconds()) }

// trimmed prints f with at most so many decimals, and fewer when they are 0 or
// the number is large enough without them.
func trimmed(f float64, decimals int) string {
	if f >= 100 {
		decimals = 0
	}
	s := strconv.FormatFloat(f, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// Count prints a number with its thousands set off: 12,345.
func Count[T int | int64 | uint64](n T) string {
	s := fmt.Sprint(n)
	digits := strings.TrimPrefix(s, "-")
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if n < 0 {
		return "-" + digits
	}
	return digits
}

// Percent prints a percentage without needless decimals: "90 %".
func Percent(p float64) string {
	if math.IsNaN(p) || p < 0 || p > 1e6 {
		return "? %"
	}
	return trimmed(math.Round(p), 0) + " %"
}

// Share is n of limit in percent, within 0 and 100.
func Share(n, limit int) float64 {
	if limit <= 0 || n <= 0 {
		return 0
	}
	return min(100*float64(n)/float64(limit), 100)
}

// Plural is "1 caller", "2 callers".
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}
