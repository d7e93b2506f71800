package config

import (
	"fmt"
	"slices"
	"strings"
)

// connectionKeywords are the keywords that the driver keeps for itself. All
// others go to the server as startup parameters.
func connectionKeywords() []string {
	return []string{
		"host", "port", "user", "password", "passfile", "dbname", "service", "servicefile", "options", "application_name",
		"sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcertmode", "sslsni", "sslnegotiation",
		"channel_binding", "require_auth", "krbspn", "krbsrvname", "target_session_attrs", "connect_timeout",
		"min_protocol_version", "max_protocol_version",
		"default_query_exec_mode", "statement_cache_capacity", "description_cache_capacity",
		"fallback_application_name", // see ResolvedApplicationName
	}
}

// Ignored reports whether a parameter of a connection string is one of libpq's
// that mean nothing to this library, such as keepalives. [Config.Warnings] tells
// of each, and pool.Open does not send it to the server.
func Ignored(parameter string) bool {
	return parameter == "fallback_application_name" || foreigners()[strings.ToLower(parameter)].tolerated != nil
}

// parameters checks the parameters of a connection string, which the driver
// would send to the server unseen. The server refuses every connection for one
// that it does not know.
func (k *checker) parameters(variable string, d DSN) {
	pairs, certain := d.parameters()
	for i, p := range pairs {
		if rule, remedy := misplaced(p, certain > i); rule != "" {
			k.refuse(variable, rule, remedy)
		}
	}
}

// parameters returns what may be a parameter, in the order written, and how
// many of them are certainly no part of a password: a password that was not
// quoted goes on in what looks like the keywords after it.
func (d DSN) parameters() (pairs []pair, certain int) {
	if d.isURL() {
		pairs, _ = parseQuery(cutURL(string(d)).query)
		pairs = slices.DeleteFunc(pairs, func(p pair) bool { return p == pair{"ssl", "true"} }) // see querySettings
	} else {
		pairs, _ = parseKeywords(string(d))
	}
	certain = slices.IndexFunc(pairs, func(p pair) bool { return strings.Contains(strings.ToLower(p.keyword), "pass") })
	if certain < 0 {
		certain = len(pairs)
	}
	return pairs, certain
}

// misplaced says why a parameter cannot stay. It shows the parameter's name only
// where that is certainly one; its value never.
func misplaced(p pair, certain bool) (rule, remedy string) {
	if slices.Contains(connectionKeywords(), p.keyword) {
		return "", ""
	}
	if f, ok := foreigners()[strings.ToLower(p.keyword)]; ok && !isServerSetting(p.keyword) {
		if !certain {
			p.keyword = strings.ToLower(p.keyword) // as the table has it
		}
		return f.refusal(p)
	}
	if p.keyword == "client_encoding" && !isUTF8(p.value) {
		return "has a client_encoding other than UTF8", "take it out: text is UTF-8 in Go"
	}
	if isServerSetting(p.keyword) {
		return "", ""
	}
	name := "a parameter that is not known"
	if certain && isWord(p.keyword) {
		name = "an unknown parameter, " + p.keyword
	}
	if near := nearest(p.keyword); near != "" {
		return "has " + name, "write " + near + " if that is meant, or take it out"
	}
	return "has " + name, "take it out, or escape the password if it is a part of that; a setting that only this server knows goes into options, as -c name=value"
}

// refusal says why this parameter cannot stay, or nothing where it is ignored.
func (f foreign) refusal(p pair) (rule, remedy string) {
	if f.ignores(p.value) {
		return "", ""
	}
	return fmt.Sprintf("has %s, which is a parameter of %s and not known here", p.keyword, f.owner), f.remedy
}

func (f foreign) ignores(value string) bool {
	return f.tolerated != nil && (f.tolerated[0] == "*" || slices.Contains(f.tolerated, value))
}

func isUTF8(encoding string) bool {
	return slices.Contains([]string{"utf8", "unicode"}, strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(encoding)))
}

// isWord reports whether s looks like the name of a parameter.
func isWord(s string) bool {
	const longest = 40
	return len(s) <= longest && s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz_-") == ""
}

// nearest returns the parameter that name was probably meant to be, or "".
func nearest(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	near, least := "", len(name)
	for _, known := range append(connectionKeywords(), strings.Fields(serverSettings)...) {
		d := distance(name, known)
		if sameWords(name, known) {
			d = 0
		}
		if d <= tolerance(known) && d < least {
			near, least = known, d
		}
	}
	return near
}
