package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	tests := []struct {
		value                 string
		seconds, milliseconds time.Duration
	}{
		{"30", 30 * time.Second, 30 * time.Millisecond},
		{"+30", 30 * time.Second, 30 * time.Millisecond},
		{"030", 30 * time.Second, 30 * time.Millisecond},
		{"2.0", 2 * time.Second, 2 * time.Millisecond},
		{"45s", 45 * time.Second, 45 * time.Second},
		{"1m30s", 90 * time.Second, 90 * time.Second},
		{"1500ms", 1500 * time.Millisecond, 1500 * time.Millisecond},
		{"0.5h", 30 * time.Minute, 30 * time.Minute},
	}
	for _, test := range tests {
		c, err := From(with("DB_POOL_TIMEOUT", test.value, "DB_STATEMENT_TIMEOUT", test.value))
		if err != nil || c.PoolTimeout != test.seconds || c.StatementTimeout != test.milliseconds {
			t.Errorf("%s: got %v and %v, %v", test.value, c.PoolTimeout, c.StatementTimeout, err)
		}
	}
}

func TestBareNumbers(t *testing.T) {
	for _, value := range []string{"0", "30", "-1", "+1", "1.5", ".5", "5.", "99999999999999999999"} {
		if !isBareNumber(value) {
			t.Errorf("%q is a number", value)
		}
	}
	for _, value := range []string{"", "-", ".", "--5", "+-5", "5-", "1.2.3", "1,5", " 5", "5 ", "5s", "1e3", "0x10", "NaN", "Inf", "٣"} {
		if isBareNumber(value) {
			t.Errorf("%q is not a number to be read", value)
		}
	}
}

// A value is read exactly or refused by name, whatever it is.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"30", "45s", "-1", "0", "1e3", "NaN", "", " 5", "1.5", "9223372036", "9223372037", "99999999999999999999", "1h1h", "µs", "5µs", "+", ".s", "0h0", ".5", "5.", "\x00", "@=://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, err := From(with("DB_LEAK_THRESHOLD", value))
		if err != nil {
			checkRefusal(t, value, err)
			return
		}
		if want, ok := expected(value); !ok || c.LeakThreshold != want || want < 0 {
			t.Errorf("%q was read as %v", value, c.LeakThreshold)
		}
	})
}

// expected reads a number of seconds or a duration in another way than the
// package does: it multiplies.
func expected(value string) (time.Duration, bool) {
	if value == "" {
		return Default().LeakThreshold, true
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		const most = math.MaxInt64 / int64(time.Second)
		return time.Duration(n) * time.Second, -most <= n && n <= most
	}
	if regexp.MustCompile(`^[+-]?(\d+\.\d*|\.\d+)$`).MatchString(value) {
		value += "s"
	}
	d, err := time.ParseDuration(value)
	return d, err == nil
}

func checkRefusal(t *testing.T, value string, err error) {
	t.Helper()
	problems := problemsOf(t, err)
	if len(problems) != 1 || problems[0].Variable != "DB_LEAK_THRESHOLD" {
		t.Errorf("%q: got %v", value, err)
	}
	if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("%q: the report is not one short line: %q", value, err)
	}
	if want, ok := expected(value); ok && want >= 0 {
		t.Errorf("%q is %v and was refused: %v", value, want, err)
	}
}
