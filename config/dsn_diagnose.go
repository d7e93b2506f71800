package config

import (
	"os"
	"slices"
	"strings"
)

// keywordChoice is a keyword that takes one of a few words.
type keywordChoice struct {
	keyword string
	words   []string
}

// keywordChoices are those that the driver would refuse without saying which
// of them it was.
func keywordChoices() []keywordChoice {
	return []keywordChoice{
		{"sslmode", []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
		{"channel_binding", []string{"disable", "prefer", "require"}},
		{"target_session_attrs", []string{"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}},
		{"default_query_exec_mode", []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"}},
	}
}

// knows reports whether value is one of the words, or nothing.
func (c keywordChoice) knows(value string) bool {
	return value == "" || slices.Contains(c.words, value)
}

// remedy is "use disable, prefer or require".
func (c keywordChoice) remedy() string {
	last := len(c.words) - 1
	return "use " + strings.Join(c.words[:last], ", ") + " or " + c.words[last]
}

// choiceOf returns the choice that a keyword has, if it has one.
func choiceOf(keyword string) (keywordChoice, bool) {
	for _, c := range keywordChoices() {
		if c.keyword == keyword {
			return c, true
		}
	}
	return keywordChoice{}, false
}

// unreadableFiles finds the files of TLS that a connection string, or libpq's
// variables where it is silent, names and that cannot be read. The driver would
// call the whole string unparsable for that.
func unreadableFiles(said, environ map[string]string) []Problem {
	var problems []Problem
	for _, v := range libpqVariables() {
		switch v.keyword {
		case "sslrootcert", "sslcert", "sslkey":
		default:
			continue
		}
		path := said[v.keyword]
		if path == "" || v.keyword == "sslrootcert" && path == "system" || readable(path) {
			continue
		}
		p := Problem{Variable: "DATABASE_URL", Rule: "names a file for " + v.keyword + " that cannot be read", Remedy: "put the file there, readable for this process, or name another"}
		if environ[v.name] == path {
			p.Variable, p.Rule = v.name, "names a file that cannot be read"
		}
		problems = append(problems, p)
	}
	return problems
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	return f.Close() == nil
}
