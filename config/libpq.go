package config

import (
	"maps"
	"strings"
	"unicode"
)

// libpqVariables lists the variables of libpq that pgx knows, with their
// keywords, in the order in which they are added to a connection string.
func libpqVariables() []struct{ name, keyword string } {
	return []struct{ name, keyword string }{
		{"PGSERVICE", "service"},
		{"PGSERVICEFILE", "servicefile"},
		{"PGHOST", "host"},
		{"PGPORT", "port"},
		{"PGUSER", "user"},
		{"PGPASSWORD", "password"},
		{"PGPASSFILE", "passfile"},
		{"PGDATABASE", "dbname"},
		{"PGAPPNAME", "application_name"},
		{"PGSSLMODE", "sslmode"},
		{"PGSSLROOTCERT", "sslrootcert"},
		{"PGSSLCERT", "sslcert"},
		{"PGSSLKEY", "sslkey"},
		{"PGSSLPASSWORD", "sslpassword"},
		{"PGSSLCERTMODE", "sslcertmode"},
		{"PGSSLSNI", "sslsni"},
		{"PGSSLNEGOTIATION", "sslnegotiation"},
		{"PGCHANNELBINDING", "channel_binding"},
		{"PGREQUIREAUTH", "require_auth"},
		{"PGTARGETSESSIONATTRS", "target_session_attrs"},
		{"PGCONNECT_TIMEOUT", "connect_timeout"},
		{"PGTZ", "timezone"},
		{"PGOPTIONS", "options"},
		{"PGMINPROTOCOLVERSION", "min_protocol_version"},
		{"PGMAXPROTOCOLVERSION", "max_protocol_version"},
	}
}

// complete fills in what the connection string leaves open: first from libpq's
// variables, then the two timeouts that it shares with Config. A string that
// cannot be parsed is left for Validate to report.
func (c *Config) complete(environ map[string]string) []Problem {
	if c.DatabaseURL == "" && environ["PGHOST"] == "" && environ["PGSERVICE"] == "" {
		return []Problem{missing(environ)}
	}
	said, problems := c.DatabaseURL.complete("DATABASE_URL", environ)
	c.adoptTimeouts(said, environ)
	if c.ReadURL != "" && c.ReadURL != ReadSame {
		_, more := c.ReadURL.complete("DATABASE_READ_URL", withoutTarget(environ))
		problems = append(problems, more...)
	}
	return problems
}

// complete fills in what the connection string in variable leaves open, and
// returns all that it says then; nothing where it cannot be read.
func (d *DSN) complete(variable string, environ map[string]string) (map[string]string, []Problem) {
	said, err := d.settings()
	if rule, _ := misread(string(*d)); rule != "" || err != nil {
		return nil, nil
	}
	more, problems := silent(variable, said, environ)
	*d = d.with(more)
	for _, p := range more {
		said[p.keyword] = p.value
	}
	return said, append(problems, unreadableFiles(variable, said, environ)...)
}

// silent returns the settings of libpq's variables on which neither the
// connection string, which said so much, nor its service file has a word.
func silent(variable string, said, environ map[string]string) ([]pair, []Problem) {
	taken, problems := serviceKeywords(variable, said, environ)
	maps.Copy(taken, said)
	var more []pair
	for _, v := range libpqVariables() {
		value := environ[v.name]
		if _, spoken := taken[v.keyword]; spoken || value == "" {
			continue
		}
		if p, bad := checkLibpq(v.name, v.keyword, value); bad {
			problems = append(problems, p)
			continue
		}
		more = append(more, pair{v.keyword, value})
	}
	return more, problems
}

// checkLibpq checks what would otherwise be reported as DATABASE_URL's fault,
// or only when the first connection is made.
func checkLibpq(name, keyword, value string) (Problem, bool) {
	p := Problem{Variable: name}
	choice, few := choiceOf(keyword)
	p.Rule, p.Remedy = mangled(keyword, value)
	switch {
	case p.Rule != "":
	case keyword == "host" && checkHosts(map[string]string{"host": value}) != nil:
		p.Rule, p.Remedy = "is not the name of a host, nor an address or an absolute path", "set the host alone; user, password and port have variables of their own"
	case keyword == "dbname" && strings.Contains(value, "://"):
		p.Rule, p.Remedy = "holds a connection string", "set DATABASE_URL to it, and PGDATABASE to the name of the database or to nothing"
	case name == "PGPORT" && !arePorts(value):
		p.Rule, p.Remedy = "is not a port from 1 to 65535", "set the server's port, such as 5432"
	case name == "PGCONNECT_TIMEOUT" && !isSeconds(value):
		p.Rule, p.Remedy = quote(value)+" is not a number of seconds", "set a whole number, or DB_CONNECT_TIMEOUT instead"
	case few && !choice.knows(value):
		p.Rule, p.Remedy = quote(value)+" is no "+keyword, choice.remedy()
	case name == "PGOPTIONS" && !hasTime(value):
		p.Rule, p.Remedy = "has a statement_timeout that is not a time", "write 30000 or 30s, or set DB_STATEMENT_TIMEOUT instead"
	default:
		return p, false
	}
	return p, true
}

// mangled recognizes the ways in which a value commonly goes bad between the file
// or the secret it was written in and the environment. It quotes nothing.
func mangled(keyword, value string) (rule, remedy string) {
	first, last := value[0], value[len(value)-1]
	quoted := first == '"' || first == '\''
	secret := keyword == "password" || keyword == "sslpassword"
	switch {
	case strings.IndexByte(value, 0) >= 0:
		return "holds a zero byte", "remove it"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "holds a line break or another control character", "remove it; a file that ends with a line break brings one along"
	case quoted && secret && last == first && len(value) > 1:
		return "is in quotation marks", "remove them; if they are a part of it, put it into DATABASE_URL, percent-encoded"
	case quoted && !secret:
		return "begins with a quotation mark", "remove the quotation marks around it"
	case strings.TrimSpace(value) != value && !secret && keyword != "options":
		return "begins or ends with a space", "remove it"
	}
	return "", ""
}

// hasTime reports whether options leave statement_timeout alone or set it to a time.
func hasTime(options string) bool {
	said := map[string]string{"options": options}
	_, ok := statementTimeout(said)
	return ok || statementTimeoutText(said) == ""
}

func isSeconds(s string) bool {
	_, ok := connectTimeout(map[string]string{"connect_timeout": s})
	return ok
}

// with adds keywords the connection string does not have. Before a
// keyword/value string, not after it: a backslash at its end would swallow
// the space.
func (d DSN) with(more []pair) DSN {
	switch {
	case len(more) == 0:
		return d
	case d.isURL():
		return DSN(addToURL(string(d), more))
	}
	return DSN(strings.TrimRight(writeKeywords(more)+" "+string(d), space))
}

// missing is the problem of having no database at all. A name that may be a
// misspelling is pointed out only here: elsewhere it is somebody else's.
func missing(environ map[string]string) Problem {
	p := Problem{
		Variable: "DATABASE_URL",
		Rule:     "is not set, nor is PGHOST or PGSERVICE",
		Remedy:   "set it to postgres://user:password@host:5432/database",
	}
	for _, name := range sortedNames(environ) {
		if environ[name] != "" && distance(strings.ToUpper(name), p.Variable) <= tolerance(p.Variable) {
			p.Remedy += "; if " + name + " is meant to be it, rename that"
			break
		}
	}
	return p
}
