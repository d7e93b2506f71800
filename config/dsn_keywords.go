package config

import (
	"errors"
	"strings"
)

// pair is a keyword and its value, both decoded.
type pair struct{ keyword, value string }

// space is what separates keyword/value pairs.
const space = " \t\n\r\v\f"

// parseKeywords parses libpq's keyword/value form: host=h password='it\'s'.
func parseKeywords(s string) ([]pair, error) {
	var pairs []pair
	for s = strings.TrimLeft(s, space); s != ""; s = strings.TrimLeft(s, space) {
		keyword, rest, found := strings.Cut(s, "=")
		keyword = strings.Trim(keyword, space)
		if !found || keyword == "" || strings.ContainsAny(keyword, space) {
			return nil, errors.New("is neither a postgres:// URL nor keyword=value pairs")
		}
		value, rest, err := cutValue(strings.TrimLeft(rest, space))
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{canonical(keyword), value})
		s = rest
	}
	return pairs, nil
}

// cutValue takes one value off s: up to the next space, or up to the closing
// quote if it opens with one. A backslash makes the next byte literal; at the
// very end it stands for nothing.
func cutValue(s string) (value, rest string, err error) {
	s, quoted := strings.CutPrefix(s, "'")
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case quoted && s[i] == '\'':
			return b.String(), s[i+1:], nil
		case !quoted && strings.IndexByte(space, s[i]) >= 0:
			return b.String(), s[i:], nil
		default:
			b.WriteByte(s[i])
		}
	}
	if quoted {
		return "", "", errors.New("has a quote that is not closed")
	}
	return b.String(), "", nil
}

// keywordSettings returns the last word on each keyword. An empty user is
// silent, as for pgx.
func keywordSettings(pairs []pair) map[string]string {
	s := make(map[string]string)
	for _, p := range pairs {
		if p.keyword == "user" && p.value == "" {
			continue
		}
		s[p.keyword] = p.value
	}
	return s
}

// writeKeywords writes pairs in libpq's form, every value quoted.
func writeKeywords(pairs []pair) string {
	quoter := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	written := make([]string, len(pairs))
	for i, p := range pairs {
		written[i] = p.keyword + "='" + quoter.Replace(p.value) + "'"
	}
	return strings.Join(written, " ")
}
