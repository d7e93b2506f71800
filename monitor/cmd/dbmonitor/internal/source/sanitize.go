package source

import (
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// maxText is the longest text, in runes, that is kept of any field: a line of
// a terminal holds less, and nothing in the document needs more.
const maxText = 600

// Sanitize makes a text from elsewhere fit for a terminal: one line, at most limit
// runes, without escape sequences, control characters, and the invisible ones
// that reorder or hide what follows.
func Sanitize(s string, limit int) string {
	if len(s) > 16*limit { // a rune is at most 4 bytes; leave room for escapes that go
		s = s[:16*limit]
	}
	s = strings.ToValidUTF8(s, "�")
	s = ansi.Strip(s)
	s = strings.Map(printable, s)
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	r := []rune(s)
	return string(r[:max(limit-1, 0)]) + "…"
}

func printable(r rune) rune {
	switch {
	case unicode.IsPrint(r):
		return r
	case unicode.IsSpace(r):
		return ' '
	default:
		return -1
	}
}

// SanitizeAll cleans every string a decoded document holds, in one place, so that
// nobody who prints a field has to remember it. v is a pointer.
func SanitizeAll(v any) { sanitizeValue(reflect.ValueOf(v)) }

func sanitizeValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(Sanitize(v.String(), maxText))
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			sanitizeValue(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			sanitizeValue(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() { // time.Time's are not
				sanitizeValue(v.Field(i))
			}
		}
	}
}
