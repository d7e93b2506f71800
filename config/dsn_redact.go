package config

import (
	"slices"
	"strings"
	"unicode"
)

const mask = "xxxxx"

// redact rewrites a connection string without its secrets. It shows only what
// is known to be harmless: keywords on a list, with values made of harmless
// characters. Everything else is masked or left out, so that a secret in the
// wrong place, a password with an unescaped / say, is not shown either. ok is
// false when nothing can be shown.
func redact(s string) (shown string, ok bool) {
	if s == ReadSame {
		return s, true
	}
	settings, err := DSN(s).settings()
	if err != nil || checkHosts(settings) != nil {
		return "", false
	}
	if DSN(s).isURL() {
		return redactURL(cutURL(s))
	}
	return redactKeywords(s)
}

// redactURL keeps the URL's pieces as written. An @ beyond the userinfo means
// that a password with an unescaped @ or / may have spilled into what looks
// like host, port or database, so then nothing is shown.
func redactURL(u connURL) (string, bool) {
	if strings.Contains(u.hosts+u.database+u.query, "@") {
		return "", false
	}
	var b strings.Builder
	b.WriteString(u.scheme)
	if u.hasUserinfo {
		b.WriteString(showRaw("user", u.user))
		if u.password != "" {
			b.WriteString(":" + mask)
		}
		b.WriteString("@")
	}
	b.WriteString(showRaw("host", u.hosts))
	if u.hasPath {
		b.WriteString("/" + showRaw("dbname", u.database))
	}
	separator := "?"
	for _, raw := range strings.FieldsFunc(u.query, func(r rune) bool { return r == '&' }) {
		rawKeyword, rawValue, _ := strings.Cut(raw, "=")
		keyword, _ := unescape(rawKeyword)
		if isKnown(keyword) {
			b.WriteString(separator + keyword + "=" + showRaw(keyword, rawValue))
			separator = "&"
		}
	}
	return b.String(), true
}

func redactKeywords(s string) (string, bool) {
	pairs, err := parseKeywords(s)
	var shown []string
	for _, p := range pairs {
		if !isKnown(p.keyword) {
			continue
		}
		value := show(p.keyword, p.value)
		if value == "" || strings.Contains(value, " ") {
			value = "'" + value + "'"
		}
		shown = append(shown, p.keyword+"="+value)
	}
	return strings.Join(shown, " "), err == nil && len(shown) > 0
}

// showRaw is show for a percent-encoded value, which stays encoded.
func showRaw(keyword, raw string) string {
	value, err := unescape(raw)
	if err != nil || show(keyword, value) != value {
		return mask
	}
	return strings.Trim(raw, " ")
}

// show returns value, or the mask where it may hold a secret.
func show(keyword, value string) string {
	const longest = 255
	if isSecret(keyword) || len(value) > longest {
		return mask
	}
	// None of these lists holds a =, and none both : and @. So a password=…
	// or user:password@… that ended up in another keyword's value is masked.
	extra := ""
	switch keyword {
	case "host":
		extra = ":,/[]%"
	case "user":
		extra = "@"
	case "port", "require_auth", "search_path":
		extra = ","
	case "passfile", "servicefile", "sslrootcert", "timezone":
		extra = "/"
	}
	for _, r := range value {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-._~+ "+extra, r) {
			return mask
		}
	}
	return value
}

// isSecret lists the known keywords whose values are never shown. sslkey is a
// path, but people paste the key itself; options can set anything.
func isSecret(keyword string) bool {
	return slices.Contains([]string{"password", "sslpassword", "sslkey", "options"}, keyword)
}

// isKnown reports whether the keyword itself may be shown. An unknown one may
// be part of a password that nobody quoted.
func isKnown(keyword string) bool {
	return isSecret(keyword) || slices.Contains([]string{
		"host", "port", "user", "dbname", "database", "application_name", "service", "servicefile", "passfile",
		"sslmode", "sslrootcert", "sslcertmode", "sslsni", "sslnegotiation", "channel_binding", "require_auth",
		"target_session_attrs", "connect_timeout", "statement_timeout", "search_path", "timezone", "client_encoding",
		"min_protocol_version", "max_protocol_version",
	}, keyword)
}
