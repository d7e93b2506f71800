package config

import (
	"strings"
	"unicode"
)

// spilled recognizes a connection string whose password was not escaped, so that
// a part of it stands where the host, the port or the database belong: there it
// would be shown by whoever cannot find that host or database. An @ that does not
// end user and password is always taken for that, because nobody can tell; where
// it is meant it can be written %40.
func spilled(d DSN, said map[string]string) (rule string) {
	if !d.isURL() {
		if strings.Contains(said["dbname"], "://") {
			return "has a connection string for its dbname"
		}
		return ""
	}
	u := cutURL(string(d))
	switch {
	case !u.hasUserinfo && strings.Contains(u.hosts+u.database, "@"):
		return "holds a / before the @, probably in the password"
	case strings.Contains(u.hosts+u.database+u.query, "@"):
		return "holds more than one @, one of them probably in the password"
	case strings.Contains(said["user"], ":") && said["password"] == "":
		return "has a : in the user, so that the password may be a part of it"
	}
	return ""
}

// misread recognises the ways in which a good connection string commonly goes
// bad on its way here. The parser would complain about something else.
func misread(s string) (rule, remedy string) {
	trimmed := strings.TrimLeft(s, space)
	switch {
	case strings.HasPrefix(s, `"`), strings.HasPrefix(s, "'"):
		return "begins with a quotation mark", "remove the quotation marks around it"
	case len(trimmed) < len(s) && DSN(trimmed).isURL():
		return "begins with a space", "remove it"
	case !DSN(s).isURL() && hasScheme(s):
		return "has a scheme other than postgres://", "begin it with postgres:// (without SQLAlchemy's +driver)"
	case DSN(s).isURL() && strings.ContainsFunc(s, unicode.IsControl):
		return "holds a line break or another control character", "remove it"
	}
	return "", ""
}

// hasScheme reports whether s begins as a URL does.
func hasScheme(s string) bool {
	scheme, _, found := strings.Cut(s, "://")
	return found && !strings.ContainsFunc(scheme, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("+-.:", r)
	})
}
