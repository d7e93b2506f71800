package config

import (
	"strconv"
	"strings"
)

// Problem is one thing wrong with the settings. It never holds a secret.
type Problem struct {
	// Variable is the environment variable at fault, DB_POOL_SIZE say. It is
	// named even where the Config was built in code.
	Variable string
	// Rule says what is wrong and why.
	Rule string
	// Remedy says what to do about it.
	Remedy string
}

// String returns the problem on one line, "DB_POOL_SIZE: rule; remedy".
func (p Problem) String() string {
	return p.Variable + ": " + p.Rule + "; " + p.Remedy
}

// Error is every problem [FromEnv] or [Config.Validate] found, in the order of
// [Variables]. Reach it with errors.As to list them; there is at least one.
type Error struct {
	Problems []Problem
}

// Error returns one line for each problem, each beginning with "config: ".
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("config: ")
		b.WriteString(p.String())
	}
	return b.String()
}

// failure returns nil when there is no problem; a nil *Error in an error would
// not be nil.
func failure(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return &Error{Problems: problems}
}

// quote shows the value of a variable in a problem, bounded. What does not
// look like a number, a word or a duration may be a connection string put into
// the wrong variable, so it is not shown.
func quote(value string) string {
	const most = 40
	if strings.ContainsAny(value, "@=") || strings.Contains(value, "://") {
		return "the value (not shown: it may hold a secret)"
	}
	if len(value) > most {
		return strconv.QuoteToASCII(value[:most]) + "…"
	}
	return strconv.QuoteToASCII(value)
}
