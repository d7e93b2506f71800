package pool

import (
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// loggable is an error for the log: its text without the values in it, and the
// server's code. The caller gets the error as it is; a log goes further than that.
//
// Values reach errors in three ways. The server quotes what it could not read
// (invalid input syntax for type integer: "…"); the driver shows an argument that
// it could not encode; database/sql shows a column's value that it could not scan.
func loggable(err error) []any {
	text := err.Error()
	for _, pg := range serverErrors(err) {
		if pg.Message != "" {
			text = strings.ReplaceAll(text, pg.Message, redactMessage(pg.Code, pg.Message))
		}
	}
	text = clientValues().ReplaceAllString(text, "${1}: (not shown)")
	attrs := []any{slog.String("error", text)}
	if code := pgdriver.SQLState(err); code != "" {
		attrs = append(attrs, slog.String("sqlstate", code))
	}
	return attrs
}

// serverErrors returns the server's errors in err, however many were joined.
func serverErrors(err error) (all []*pgconn.PgError) {
	switch e := err.(type) {
	case *pgconn.PgError:
		return []*pgconn.PgError{e}
	case interface{ Unwrap() error }:
		return serverErrors(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			all = append(all, serverErrors(one)...)
		}
	}
	return all
}

// namesOnly are the classes of SQLSTATE whose messages quote names of tables,
// constraints, roles and settings, and no values.
var namesOnly = []string{"08", "0A", "23", "25", "26", "28", "34", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"}

// redactMessage leaves out of a message of the server what may be a value. A
// value may hold quotation marks of its own, so all from the first on is left out.
func redactMessage(code, message string) string {
	const class = 2
	switch {
	case len(code) < class:
		return "(message not shown)"
	case slices.Contains(namesOnly, code[:class]):
		return message
	case code[:class] != "22":
		return "(message not shown)" // raised by a function, or of the server's inside
	}
	const marks = "\"'«»‹›„“”‚‘’「」『』"
	first := strings.IndexAny(message, marks)
	if first < 0 {
		return hexBytes().ReplaceAllString(message, "…")
	}
	return message[:first] + `"…"`
}

// hexBytes are the bytes that were no character: 0xff 0x41.
func hexBytes() *regexp.Regexp { return regexp.MustCompile(`0x[0-9a-f]{2}`) }

// clientValues are the places after which pgx and database/sql show a value.
func clientValues() *regexp.Regexp {
	return regexp.MustCompile(`(?s)(failed to encode args\[\d+\]|unable to encode|converting argument [^:]* type|can't scan into dest\[\d+\]|Scan error on column index \d+, name "[^"]*").*`)
}

// logAttrs say in a log line whose session it is.
func (s *Session) logAttrs() []any {
	return append([]any{"pool", s.pool.cfg.Name}, logName(nameOf(s.ctx))...)
}

// logName is the attribute of a name, if there is one.
func logName(name string) []any {
	if name == "" {
		return nil
	}
	return []any{"name", name}
}

// logSeconds is a duration as log lines have it, in seconds, to the millisecond.
func logSeconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
