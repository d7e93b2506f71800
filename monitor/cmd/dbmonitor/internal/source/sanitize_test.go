package source

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

func TestSanitize(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                          "plain",
		"größe ✓":                        "größe ✓",
		"\x1b[31mred\x1b[0m":             "red",
		"\x1b]0;title\x07x":              "x",
		"\x1b]8;;http://evil\x1b\\go":    "go",
		"\u009b31mred":                   "31mred", // the control is gone, what is left is text
		"a\nb\tc\r\nd":                   "a b c  d",
		"bell\x07 back\x08 null\x00 del": "bell back null del",
		"ab\u202ecd\u2066ef\u200bgh":     "abcdefgh",
		"bad \xff utf8":                  "bad � utf8",
		"\x7f":                           "",
	} {
		if got := Sanitize(in, 100); got != want {
			t.Errorf("Sanitize(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Sanitize("0123456789", 5); got != "0123…" {
		t.Errorf("cut to %q", got)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m", 10)
	f.Add("\x1b\x1b]8;;\x9c\u009c\u202e", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 1 + limit&1023
		got := Sanitize(s, limit)
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(got) {
			t.Errorf("%q has what must not reach a terminal", got)
		}
		if n := utf8.RuneCountInString(got); n > limit {
			t.Errorf("%d runes, limit %d", n, limit)
		}
	})
}

// Every string of the document is cleaned, wherever it is.
func TestSanitizeAll(t *testing.T) {
	const evil, good = "\x1b[2Jx", "x"
	s := statusjson.Status{
		Name:          evil,
		At:            time.Unix(1, 0),
		Health:        statusjson.HealthReport{Problems: []statusjson.Problem{{Message: evil, Code: evil}}, Probe: &statusjson.Probe{Reason: evil}},
		LastDialError: &statusjson.DialFailure{Message: evil},
		Server:        statusjson.ServerReport{View: &serverview.View{Applications: []serverview.Application{{Name: evil}}}},
		Holders:       []statusjson.Holder{{Stack: []string{evil}}},
	}
	SanitizeAll(&s)
	for where, got := range map[string]string{
		"name":        s.Name,
		"problem":     s.Health.Problems[0].Message,
		"code":        string(s.Health.Problems[0].Code),
		"probe":       s.Health.Probe.Reason,
		"dial":        s.LastDialError.Message,
		"application": s.Server.View.Applications[0].Name,
		"stack":       s.Holders[0].Stack[0],
	} {
		if got != good {
			t.Errorf("%s: %q", where, got)
		}
	}
	if !s.At.Equal(time.Unix(1, 0)) {
		t.Error("the time was touched")
	}
}
