// Package sqltext tells the shape of an SQL statement from the values in it.
package sqltext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// textLimit is the most characters of a statement that are shown.
const textLimit = 500

// Shape returns the shape of an SQL statement without the values in it: string,
// number and dollar-quoted literals become ?, comments go (they may carry
// identifiers of requests), the value of SET goes, white space is folded, and
// what is longer than 500 characters is cut. Where it cannot be told whether a
// literal has ended, all that follows goes.
func Shape(query string) string {
	s := scanner{in: strings.ToValidUTF8(query, "")}
	for s.pos < len(s.in) {
		s.token()
	}
	return cut(hideSetting(strings.TrimSpace(s.out.String())))
}

// scanner copies in to out, token by token.
type scanner struct {
	in  string
	pos int
	out strings.Builder
}

func (s *scanner) token() {
	rest := s.in[s.pos:]
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case unicode.IsSpace(r):
		s.pos += size
		s.space()
	case strings.HasPrefix(rest, "--"):
		s.skip(strings.IndexByte(rest, '\n'))
		s.space()
	case strings.HasPrefix(rest, "/*"):
		s.skip(commentEnd(rest))
		s.space()
	case r == '\'':
		s.literal(stringEnd(rest, false))
	case r == '"':
		s.copy(identifierEnd(rest))
	case r == '$' && dollarTag(rest) != "":
		s.literal(dollarEnd(rest, dollarTag(rest)))
	case r == '$':
		s.copy(1 + digits(rest[1:]))
	case isDigit(rest[0]) || (r == '.' && len(rest) > 1 && isDigit(rest[1])):
		s.literal(numberEnd(rest))
	case isWordStart(r):
		s.word(rest)
	default:
		s.copy(size)
	}
}

// word copies a keyword or name; a letter in front of a quote (E”, B”, X”,
// U&”) belongs to the literal.
func (s *scanner) word(rest string) {
	end := strings.IndexFunc(rest, func(r rune) bool { return !isWordStart(r) && !unicode.IsDigit(r) && r != '$' })
	if end < 0 {
		end = len(rest)
	}
	word, after := rest[:end], rest[end:]
	if len(word) == 1 && strings.HasPrefix(after, "'") {
		if to := stringEnd(after, strings.EqualFold(word, "e")); to >= 0 {
			to += end
			s.literal(to)
		} else {
			s.literal(-1)
		}
		return
	}
	s.copy(end)
}

// copy takes n bytes over as they are.
func (s *scanner) copy(n int) {
	s.out.WriteString(s.in[s.pos : s.pos+n])
	s.pos += n
}

// literal replaces n bytes by ?; a negative n means all the rest.
func (s *scanner) literal(n int) {
	s.out.WriteByte('?')
	s.skip(n)
}

func (s *scanner) skip(n int) {
	if n < 0 {
		n = len(s.in) - s.pos
	}
	s.pos += n
}

func (s *scanner) space() {
	if o := s.out.String(); o != "" && o[len(o)-1] != ' ' {
		s.out.WriteByte(' ')
	}
}

// stringEnd returns the length of the literal that s begins with, or -1 when it
// does not end, or when a backslash makes it doubtful where (its meaning depends
// on standard_conforming_strings).
func stringEnd(s string, escapes bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && escapes:
			i++
		case s[i] == '\\' && strings.HasPrefix(s[i+1:], "'"):
			return -1
		case s[i] == '\'' && strings.HasPrefix(s[i+1:], "'"):
			i++
		case s[i] == '\'':
			return i + 1
		}
	}
	return -1
}

// identifierEnd returns the length of the quoted identifier s begins with.
func identifierEnd(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		if !strings.HasPrefix(s[i+1:], `"`) {
			return i + 1
		}
		i++
	}
	return len(s)
}

// commentEnd returns the length of the comment s begins with; they nest. -1: it
// does not end.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// dollarTag returns the $tag$ that s begins with, or "".
func dollarTag(s string) string {
	for i, r := range s[1:] {
		switch {
		case r == '$':
			return s[:i+2]
		case !isWordStart(r) && (i == 0 || !unicode.IsDigit(r)):
			return ""
		}
	}
	return ""
}

func dollarEnd(s, tag string) int {
	end := strings.Index(s[len(tag):], tag)
	if end < 0 {
		return -1
	}
	return len(tag) + end + len(tag)
}

// numberEnd returns the length of the number s begins with: 12, 1_000, 1.5e-3, 0xff.
func numberEnd(s string) int {
	for i := 1; i < len(s); i++ {
		c := s[i]
		signed := (c == '+' || c == '-') && (s[i-1] == 'e' || s[i-1] == 'E')
		if !signed && !isDigit(c) && c != '.' && c != '_' && !isLetter(c) {
			return i
		}
	}
	return len(s)
}

// hideSetting takes the value out of SET name = value, where it need not be quoted.
func hideSetting(s string) string {
	if len(s) < 4 || !strings.EqualFold(s[:4], "set ") {
		return s
	}
	end := strings.IndexByte(s, '=')
	if to := strings.Index(strings.ToLower(s), " to "); to >= 0 && (end < 0 || to < end) {
		end = to + 3
	}
	if end < 0 {
		return s
	}
	return strings.TrimRight(s[:min(end+1, len(s))], " ") + " ?"
}

func cut(s string) string {
	if utf8.RuneCountInString(s) <= textLimit {
		return s
	}
	return string([]rune(s)[:textLimit-1]) + "…"
}

func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool     { return '0' <= c && c <= '9' }
func isLetter(c byte) bool    { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isWordStart(r rune) bool { return r == '_' || unicode.IsLetter(r) || r >= utf8.RuneSelf }
