package config

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strconv"

	"github.com/caarlos0/env/v10"
)

// FromEnv reads the settings from the environment of this process. It returns
// every problem at once, as an [*Error], and then a zero Config.
func FromEnv() (Config, error) {
	return From(env.ToMap(os.Environ()))
}

// From is [FromEnv] with the environment given: names to values. It reads
// environ, and the service file if one is named, and looks whether the files of
// TLS can be read. It does not keep the map.
//
// Whatever dials later, pgx in pool.Open, looks for PG* variables in the
// process itself where the connection string is silent; From cannot hide those
// from it.
func From(environ map[string]string) (Config, error) {
	c, problems := preset(environ["DB_ENV"])
	problems = append(problems, c.parse(environ)...)
	problems = append(problems, c.complete(environ)...)
	problems = append(problems, c.problems()...)
	problems = append(problems, typos(environ)...)
	if len(problems) > 0 {
		return Config{}, failure(inOrder(problems))
	}
	c.notice(wrongUnits(environ))
	c.notice(shadowed(environ))
	return c, nil
}

// FromURL returns [Default] with a database: for programs that have a connection
// string and nothing else. It is checked as [FromEnv] checks DATABASE_URL, and its
// timeouts count. No variable is read, but for libpq's where the string is silent,
// by whatever dials later.
func FromURL(url string) (Config, error) {
	return From(map[string]string{"DATABASE_URL": url, "HOME": os.Getenv("HOME"), "APPDATA": os.Getenv("APPDATA")})
}

// parse sets the fields whose variables are set. A field whose variable cannot
// be read keeps its value.
func (c *Config) parse(environ map[string]string) []Problem {
	known := make(map[string]Variable)
	settings := make(map[string]string)
	for _, v := range Variables() {
		known[v.Field] = v
		settings[v.Name] = withUnit(environ[v.Name], v.Unit)
	}
	var failed env.AggregateError
	if !errors.As(env.ParseWithOptions(c, env.Options{Environment: settings}), &failed) {
		return nil
	}
	problems := make([]Problem, 0, len(failed.Errors))
	for _, err := range failed.Errors {
		// Only ParseError can occur: every field has a parser, none is required.
		var bad env.ParseError
		errors.As(err, &bad)
		v := known[bad.Name]
		problems = append(problems, unreadable(v, environ[v.Name], bad))
	}
	return problems
}

// unreadable explains a value that does not fit the type of its field.
func unreadable(v Variable, value string, bad env.ParseError) Problem {
	p := Problem{Variable: v.Name}
	switch {
	case bad.Type.Kind() == reflect.Bool:
		p.Rule = quote(value) + " is neither true nor false"
		p.Remedy = "set true or false"
	case v.Unit == "seconds":
		p.Rule = durationRule(value)
		p.Remedy = "set a number of seconds (" + v.Default + ") or a duration (45s, 5m)"
	case v.Unit == "milliseconds":
		p.Rule = durationRule(value)
		p.Remedy = "set a number of milliseconds (" + v.Default + ") or a duration (500ms, 30s)"
	case errors.Is(bad.Err, strconv.ErrRange):
		p.Rule = quote(value) + " is out of range"
		p.Remedy = "set a number such as " + v.Default
	case v.Unit == "":
		p.Rule = quote(value) + " is not a whole number"
		p.Remedy = "set a number such as " + v.Default
	default:
		p.Rule = quote(value) + " is not a whole number"
		p.Remedy = "set a number of " + v.Unit + " such as " + v.Default
	}
	return p
}

// inOrder sorts problems by the table of variables; what is not in it, libpq's
// variables and typos, comes last and in the order found.
func inOrder(problems []Problem) []Problem {
	rank := make(map[string]int)
	vars := Variables()
	for i, v := range vars {
		rank[v.Name] = i - len(vars)
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return rank[a.Variable] - rank[b.Variable]
	})
	return problems
}
