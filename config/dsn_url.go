package config

import (
	"errors"
	"maps"
	"net/url"
	"strings"
)

// connURL is a postgres:// URL cut into pieces, each as written: nothing is
// decoded and nothing checked. net/url cannot read a URL that names several
// hosts, so this follows libpq's grammar, which is also pgx's.
type connURL struct {
	scheme         string // "postgres://" or "postgresql://"
	user, password string
	hasUserinfo    bool
	hosts          string // between userinfo and path, ports included
	database       string
	hasPath        bool
	query          string
	hasQuery       bool
}

// cutURL cuts s, which begins with one of libpq's two schemes.
func cutURL(s string) connURL {
	var u connURL
	scheme, rest, _ := strings.Cut(s, "://")
	u.scheme = scheme + "://"
	// Like libpq, the userinfo ends at the first @ that no / precedes, even if
	// that leaves a ? inside it.
	if end := strings.IndexAny(rest, "@/"); end >= 0 && rest[end] == '@' {
		u.hasUserinfo = true
		u.user, u.password, _ = strings.Cut(rest[:end], ":")
		rest = rest[end+1:]
	}
	rest, u.query, u.hasQuery = strings.Cut(rest, "?")
	u.hosts, u.database, u.hasPath = strings.Cut(rest, "/")
	return u
}

// settings decodes the URL, the query having the last word. A piece that is
// not there is silent; one that is empty in the query is not, as for pgx.
func (u connURL) settings() (map[string]string, error) {
	hosts, ports, err := splitHosts(u.hosts)
	if err != nil {
		return nil, err
	}
	s := make(map[string]string)
	for _, piece := range []pair{
		{"user", u.user}, {"password", u.password}, {"host", hosts}, {"port", ports}, {"dbname", u.database},
	} {
		if piece.value == "" {
			continue
		}
		if s[piece.keyword], err = unescape(piece.value); err != nil {
			return nil, err
		}
	}
	query, err := parseQuery(u.query)
	if err != nil {
		return nil, err
	}
	maps.Copy(s, querySettings(query))
	return s, nil
}

// splitHosts separates host:port,host:port into host,host and port,port. The
// lists keep their order, so that the nth port belongs to the nth host.
func splitHosts(raw string) (hosts, ports string, err error) {
	var hostList, portList []string
	for one := range strings.SplitSeq(raw, ",") {
		host, port, _ := strings.Cut(one, ":")
		if strings.HasPrefix(one, "[") {
			if host, port, err = splitIPv6(one); err != nil {
				return "", "", err
			}
		}
		hostList = append(hostList, host)
		portList = append(portList, port)
	}
	return strings.Join(hostList, ","), strings.Join(portList, ","), nil
}

// splitIPv6 separates [address]:port.
func splitIPv6(s string) (host, port string, err error) {
	host, rest, closed := strings.Cut(s[1:], "]")
	port, colon := strings.CutPrefix(rest, ":")
	if !closed || host == "" || rest != "" && !colon {
		return "", "", errors.New("has an IPv6 address that is not [address] or [address]:port")
	}
	return host, port, nil
}

// parseQuery reads keyword=value pairs separated by &.
func parseQuery(raw string) ([]pair, error) {
	if raw == "" {
		return nil, nil
	}
	var pairs []pair
	for one := range strings.SplitSeq(strings.TrimSuffix(raw, "&"), "&") {
		rawKeyword, rawValue, found := strings.Cut(one, "=")
		if !found || strings.Contains(rawValue, "=") {
			return nil, errors.New("has a query that is not keyword=value&keyword=value")
		}
		keyword, err := unescape(rawKeyword)
		if err != nil {
			return nil, err
		}
		value, err := unescape(rawValue)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{canonical(keyword), value})
	}
	return pairs, nil
}

// querySettings returns the last word on each keyword. ssl=true is JDBC's
// spelling of sslmode=require.
func querySettings(query []pair) map[string]string {
	s := make(map[string]string)
	for _, p := range query {
		s[p.keyword] = p.value
		if p.keyword == "ssl" && p.value == "true" {
			s["sslmode"] = "require"
		}
	}
	return s
}

// unescape undoes percent-encoding by libpq's rules: spaces around are
// skipped, spaces within and %00 are errors, + is a plus.
func unescape(raw string) (string, error) {
	raw = strings.Trim(raw, " ")
	if strings.Contains(raw, " ") {
		return "", errors.New("has a space that is not written %20")
	}
	s, err := url.PathUnescape(raw)
	if err != nil {
		// The error quotes its input, so it goes no further.
		return "", errors.New("has a % that two hexadecimal digits do not follow; a % itself is written %25")
	}
	if strings.IndexByte(s, 0) >= 0 {
		return "", errors.New("holds a zero byte")
	}
	return s, nil
}

// addToURL returns s with more keywords in its query.
func addToURL(s string, more []pair) string {
	u := cutURL(s)
	separator := "&"
	if !u.hasQuery {
		separator = "?"
	} else if u.query == "" || strings.HasSuffix(u.query, "&") {
		separator = ""
	}
	for _, p := range more {
		s += separator + p.keyword + "=" + escape(p.value)
		separator = "&"
	}
	return s
}

// escape percent-encodes all but letters, digits and -._~ . Unlike
// url.QueryEscape it writes a space as %20: to libpq a + is a plus.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
