package pgdriver

import "strings"

// scanner splits the text of a statement into tokens, well enough to find its
// words. Comments, strings and numbers are skipped.
type scanner struct {
	sql    string
	at     int
	last   string // the text of the latest token
	before string // of the one before it
}

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenQuoted
	tokenSymbol
	tokenStrange // what the server may read differently from us
)

// token is a word in lower case, a quoted identifier without its quotes, or a symbol.
type token struct {
	kind tokenKind
	text string
}

func (t token) is(symbol string) bool { return t.kind == tokenSymbol && t.text == symbol }

// peek returns the next token and stays where it is.
func (s *scanner) peek() token {
	ahead := *s
	return ahead.next()
}

// next returns the next token.
func (s *scanner) next() token {
	t := s.scan()
	s.before, s.last = s.last, t.text
	return t
}

func (s *scanner) scan() token {
	for s.at < len(s.sql) {
		c := s.sql[s.at]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			s.at++
		case strings.HasPrefix(s.sql[s.at:], "--"):
			s.skipLine()
		case strings.HasPrefix(s.sql[s.at:], "/*"):
			if !s.skipComment() {
				return token{kind: tokenStrange}
			}
		case c == '\'':
			if !s.skipString(false) {
				return token{kind: tokenStrange}
			}
		case c == '$' || c >= '0' && c <= '9':
			if !s.skipDollarOrNumber() {
				return token{kind: tokenStrange}
			}
		default:
			return s.word(c)
		}
	}
	return token{}
}

// word returns an identifier or a symbol.
func (s *scanner) word(c byte) token {
	if c == '"' {
		return s.quoted()
	}
	if !isLetter(c) {
		s.at++
		return token{tokenSymbol, s.sql[s.at-1 : s.at]}
	}
	start := s.at
	for s.at < len(s.sql) && (isLetter(s.sql[s.at]) || s.sql[s.at] >= '0' && s.sql[s.at] <= '9' || s.sql[s.at] == '$') {
		s.at++
	}
	text := strings.ToLower(s.sql[start:s.at])
	if s.at >= len(s.sql) {
		return token{tokenWord, text}
	}
	switch {
	case s.sql[s.at] == '\'' && isStringPrefix(text):
		if !s.skipString(text == "e") {
			return token{kind: tokenStrange}
		}
		return s.scan()
	case text == "u" && s.sql[s.at] == '&':
		return token{kind: tokenStrange} // identifiers and strings with escapes
	}
	return token{tokenWord, text}
}

func isStringPrefix(text string) bool {
	return text == "e" || text == "b" || text == "x" || text == "n"
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func (s *scanner) quoted() token {
	end := strings.IndexByte(s.sql[s.at+1:], '"')
	if end < 0 || strings.HasPrefix(s.sql[s.at+1+end:], `""`) {
		return token{kind: tokenStrange}
	}
	text := s.sql[s.at+1 : s.at+1+end]
	s.at += end + 2
	return token{tokenQuoted, text}
}

func (s *scanner) skipLine() {
	if end := strings.IndexAny(s.sql[s.at:], "\r\n"); end >= 0 {
		s.at += end
		return
	}
	s.at = len(s.sql)
}

// skipComment skips a comment, which may hold others. It reports false when it does not end.
func (s *scanner) skipComment() bool {
	depth := 0
	for s.at < len(s.sql) {
		switch rest := s.sql[s.at:]; {
		case strings.HasPrefix(rest, "/*"):
			depth++
			s.at += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			s.at += 2
		default:
			s.at++
		}
		if depth == 0 {
			return true
		}
	}
	return false
}

// skipString skips a string. What a backslash means in one without E depends on
// a setting of the session, so that is strange.
func (s *scanner) skipString(escapes bool) bool {
	for s.at++; s.at < len(s.sql); s.at++ {
		switch s.sql[s.at] {
		case '\\':
			if !escapes {
				return false
			}
			s.at++
		case '\'':
			if !strings.HasPrefix(s.sql[s.at:], "''") {
				s.at++
				return true
			}
			s.at++
		}
	}
	return false
}

// skipDollarOrNumber skips a parameter, a number, or a string between dollars.
func (s *scanner) skipDollarOrNumber() bool {
	start := s.at
	for s.at++; s.at < len(s.sql) && (isLetter(s.sql[s.at]) || s.sql[s.at] >= '0' && s.sql[s.at] <= '9'); {
		s.at++
	}
	if s.sql[start] != '$' || s.at >= len(s.sql) || s.sql[s.at] != '$' {
		return true
	}
	tag := s.sql[start : s.at+1]
	end := strings.Index(s.sql[s.at+1:], tag)
	if end < 0 {
		return false
	}
	s.at += 1 + end + len(tag)
	return true
}
