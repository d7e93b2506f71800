package config

import (
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
