package diagnosis

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// span prints a duration as people say it: two digits that matter.
func span(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// count is "1 caller" or "3 callers".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// verb agrees with n.
func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// mostName is the longest name of somebody else's that is printed.
const mostName = 40

// name makes a text that a client chose fit to be printed.
func name(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
	if utf8.RuneCountInString(s) > mostName {
		s = string([]rune(s)[:mostName-1]) + "…"
	}
	return s
}

// application names one, or says that it has no name.
func application(s string) string {
	if s = name(s); s != "" {
		return s
	}
	return "no application name"
}

// literal makes an SQL string of a name.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// of is "all 10" or "7 of 10".
func of(n, all int) string { return fmt.Sprintf("%d of %d", n, max(n, all)) }

// String is "12m0s by api/report.go:88 (GET /report), idle in transaction".
func (h Holder) String() string {
	return fmt.Sprintf("%s by %s, %s", span(h.Held), h.Who, h.Doing)
}

// age says how old what was seen of the server is, if that matters.
func (s *Scene) age() string {
	if d := s.At.Sub(s.View.At); d >= 3*time.Second {
		return fmt.Sprintf(" (the server as seen %s ago)", span(d))
	}
	return ""
}

// ended joins a sentence's end: the remedy, then the command.
func ended(sentence, remedy, command string) string {
	if remedy != "" {
		sentence += ": " + remedy
	}
	if command == "" {
		return sentence
	}
	if remedy != "" {
		return sentence + "; at once: " + command
	}
	return sentence + ": " + command
}
