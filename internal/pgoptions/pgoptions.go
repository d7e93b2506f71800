// Package pgoptions reads the options of a connection string, which are a
// command line of the server: -c name=value, -cname=value or --name=value.
package pgoptions

import "strings"

// Setting is one setting among the options, its name as the server has it.
type Setting struct{ Name, Value string }

// space is what separates options.
const space = " \t\n\r\v\f"

// Parse returns the settings among the options, in order, and the words that
// are something else, such as what a hosted service wants to be told.
func Parse(options string) (settings []Setting, rest []string) {
	words := split(options)
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case strings.HasPrefix(word, "--"):
			word = word[2:]
		case word == "-c" && i+1 < len(words):
			i++
			word = words[i]
		case strings.HasPrefix(word, "-c"):
			word = word[2:]
		default:
			rest = append(rest, words[i])
			continue
		}
		name, value, found := strings.Cut(word, "=")
		if !found {
			rest = append(rest, words[i])
			continue
		}
		settings = append(settings, Setting{strings.ReplaceAll(strings.ToLower(name), "-", "_"), value})
	}
	return settings, rest
}

// split splits at spaces; a backslash makes the next byte literal.
func split(s string) []string {
	var words []string
	for s = strings.TrimLeft(s, space); s != ""; s = strings.TrimLeft(s, space) {
		var word strings.Builder
		i := 0
		for ; i < len(s) && strings.IndexByte(space, s[i]) < 0; i++ {
			if s[i] == '\\' && i+1 < len(s) {
				i++
			}
			word.WriteByte(s[i])
		}
		words = append(words, word.String())
		s = s[i:]
	}
	return words
}

// Join is the inverse of the splitting that Parse does.
func Join(words []string) string {
	escaped := make([]string, len(words))
	for i, word := range words {
		var b strings.Builder
		for _, c := range []byte(word) {
			if c == '\\' || strings.IndexByte(space, c) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		}
		escaped[i] = b.String()
	}
	return strings.Join(escaped, " ")
}
