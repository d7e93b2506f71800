package config

import (
	"strings"
	"unicode"
)

const writeDSN = "write postgres://user:password@host:5432/database, with special characters percent-encoded, or host=… user=… dbname=…"

// dsn checks a connection string as far as that is possible without a
// connection. No rule quotes any of it.
func (k *checker) dsn(d DSN) {
	if rule, remedy := misread(string(d)); rule != "" {
		k.refuse("DATABASE_URL", rule, remedy)
		return
	}
	said, err := d.settings()
	if err != nil {
		k.refuse("DATABASE_URL", err.Error(), writeDSN)
		return
	}
	switch err := checkHosts(said); {
	case err != nil && passwordCut(d):
		k.refuse("DATABASE_URL", "holds a / before the @, probably in the password", "write special characters percent-encoded: / as %2F, @ as %40, ? as %3F, # as %23")
	case err != nil:
		k.refuse("DATABASE_URL", err.Error(), writeDSN)
	}
	for _, c := range keywordChoices() {
		if !c.knows(said[c.keyword]) {
			k.refuse("DATABASE_URL", "has an unknown "+c.keyword, c.remedy())
		}
	}
	if _, ok := connectTimeout(said); !ok && said["connect_timeout"] != "" {
		k.refuse("DATABASE_URL", "has a connect_timeout that is not a number of seconds", "write a whole number, or set DB_CONNECT_TIMEOUT instead")
	}
	if _, ok := statementTimeout(said); !ok && statementTimeoutText(said) != "" {
		k.refuse("DATABASE_URL", "has a statement_timeout (PGOPTIONS included) that is not a time", "write 30000 or 30s, or set DB_STATEMENT_TIMEOUT instead")
	}
}

// passwordCut reports whether a URL looks as if a / in the password had ended it
// too early: an @ comes only after the first /.
func passwordCut(d DSN) bool {
	_, rest, _ := strings.Cut(string(d), "://")
	before, after, _ := strings.Cut(rest, "/")
	return d.isURL() && !strings.Contains(before, "@") && strings.Contains(after, "@")
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
