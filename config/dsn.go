package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/dbpool-go/dbpool/internal/hostname"
)

// DSN is a connection string, a postgres:// URL or libpq's keyword/value form,
// that does not print its password: fmt (every verb), log/slog and the text,
// JSON and XML encoders show [DSN.Redacted]. Convert it with string(d) to hand
// it to a driver, and let the result go nowhere else.
type DSN string

// Redacted returns the connection string in the form it was written in, with
// hosts, user, database and other harmless settings readable and every secret
// replaced by xxxxx. Settings it does not know are left out, for they may be
// secrets too. A string that cannot be parsed, or in which an @ leaves doubt
// where the password ends, is not shown at all.
func (d DSN) Redacted() string {
	if d == "" {
		return ""
	}
	if shown, ok := redact(string(d)); ok {
		return shown
	}
	return "(connection string not shown)"
}

// String returns [DSN.Redacted].
func (d DSN) String() string { return d.Redacted() }

// Format prints [DSN.Redacted], whatever the verb.
func (d DSN) Format(s fmt.State, verb rune) {
	fmt.Fprintf(s, fmt.FormatString(s, verb), d.Redacted())
}

// LogValue returns [DSN.Redacted] for log/slog.
func (d DSN) LogValue() slog.Value { return slog.StringValue(d.Redacted()) }

// MarshalText returns [DSN.Redacted] for encoding/json and others. It is for
// reading only: what it writes no longer holds the password.
func (d DSN) MarshalText() ([]byte, error) { return []byte(d.Redacted()), nil }

// settings parses the connection string into libpq's keywords, dbname always
// under that name. The errors are fixed texts: they quote nothing.
func (d DSN) settings() (map[string]string, error) {
	if strings.IndexByte(string(d), 0) >= 0 {
		return nil, errors.New("holds a zero byte")
	}
	if !d.isURL() {
		pairs, err := parseKeywords(string(d))
		if err != nil {
			return nil, err
		}
		return keywordSettings(pairs), nil
	}
	return cutURL(string(d)).settings()
}

func (d DSN) isURL() bool {
	return strings.HasPrefix(string(d), "postgres://") || strings.HasPrefix(string(d), "postgresql://")
}

// canonical maps the other name that pgx takes for a keyword to libpq's.
func canonical(keyword string) string {
	if keyword == "database" {
		return "dbname"
	}
	return keyword
}

// checkHosts checks that every host can be one, that every port is a port, and
// that there are as many as hosts, or one for all.
func checkHosts(settings map[string]string) error {
	for host := range strings.SplitSeq(settings["host"], ",") {
		if !hostname.Valid(host) {
			return errors.New("has a host that is not the name of one, nor an address or an absolute path")
		}
	}
	if !arePorts(settings["port"]) {
		return errors.New("has a port that is not a number from 1 to 65535")
	}
	hosts := strings.Count(settings["host"], ",") + 1
	ports := strings.Count(settings["port"], ",") + 1
	if ports > 1 && ports != hosts {
		return fmt.Errorf("has %d ports for %d hosts", ports, hosts)
	}
	return nil
}

// arePorts reads a list of ports; an empty one means the default.
func arePorts(list string) bool {
	for port := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseUint(port, 10, 16)
		if port != "" && (err != nil || n == 0) {
			return false
		}
	}
	return true
}
