package config

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgoptions"
)

// adoptTimeouts takes over the two timeouts that a connection string can hold
// as well, unless their own variables are set. Otherwise the preset, which
// nobody chose for this service, would override what somebody wrote down. What
// cannot be read is left for Validate to report.
func (c *Config) adoptTimeouts(said, environ map[string]string) {
	// libpq's 0 means to wait for ever; this library always bounds a dial.
	if d, ok := connectTimeout(said); ok && d > 0 && environ["DB_CONNECT_TIMEOUT"] == "" {
		c.ConnectTimeout = d
	}
	if d, ok := statementTimeout(said); ok && environ["DB_STATEMENT_TIMEOUT"] == "" {
		c.StatementTimeout = d
	}
}

// connectTimeout reads libpq's connect_timeout; ok is false where it is not
// set or not a number of seconds.
func connectTimeout(said map[string]string) (d time.Duration, ok bool) {
	seconds, err := strconv.ParseUint(said["connect_timeout"], 10, 31)
	return time.Duration(seconds) * time.Second, err == nil
}

// statementTimeout reads the server's statement_timeout, as a setting of its
// own or among the options; ok is false where it is not set or is no time.
func statementTimeout(said map[string]string) (d time.Duration, ok bool) {
	return parseServerTime(statementTimeoutText(said))
}

func statementTimeoutText(said map[string]string) string {
	if text, set := said["statement_timeout"]; set {
		return text
	}
	return option(said["options"], "statement_timeout")
}

// parseServerTime reads a time as PostgreSQL reads a setting in milliseconds:
// 30000, 30s, 1.5 min. It rounds to whole milliseconds, as the server does.
// Exponents and hexadecimal, which the server takes too, are not worth it.
func parseServerTime(text string) (d time.Duration, ok bool) {
	text = strings.TrimSpace(text)
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz ")
	milliseconds := map[string]float64{
		"us": 1e-3, "": 1, "ms": 1, "s": 1e3, "min": 60e3, "h": 3600e3, "d": 86400e3,
	}
	factor, known := milliseconds[strings.TrimSpace(text[len(number):])]
	if !known || !isBareNumber(number) {
		return 0, false
	}
	value, err := strconv.ParseFloat(number, 64)
	value = math.RoundToEven(value * factor)
	if err != nil || value < 0 || value > math.MaxInt32 {
		return 0, false
	}
	return time.Duration(value) * time.Millisecond, true
}

// option returns the last value of a setting in libpq's options.
func option(options, name string) string {
	value := ""
	settings, _ := pgoptions.Parse(options)
	for _, s := range settings {
		if s.Name == name {
			value = s.Value
		}
	}
	return value
}
