package config

import "strings"

// Warnings returns what is accepted and probably not meant, or has no effect:
// parameters of the connection string that mean nothing here, numbers that look
// like another unit's, variables whose names resemble one of ours. It is empty
// where there is nothing to say. [FromEnv] does not log them, for the program's
// logger may not be there yet; pool.Open logs each once, as a warning.
//
// What was noticed in the environment stays with the Config that [FromEnv]
// returned and with its copies.
func (c Config) Warnings() []Problem {
	warnings := append(c.DatabaseURL.ignored("DATABASE_URL"), c.DatabaseURL.wrongUnits()...)
	warnings = append(warnings, c.ReadURL.ignored("DATABASE_READ_URL")...)
	for line := range strings.Lines(c.noticed) {
		words := strings.Split(strings.TrimSuffix(line, "\n"), noticeSeparator)
		warnings = append(warnings, Problem{words[0], words[1], words[2]})
	}
	return inOrder(warnings)
}

// noticeSeparator separates the parts of a notice; lines separate notices. One
// string keeps Config comparable.
const noticeSeparator = "\x1f"

func (c *Config) notice(warnings []Problem) {
	for _, w := range warnings {
		c.noticed += w.Variable + noticeSeparator + w.Rule + noticeSeparator + w.Remedy + "\n"
	}
}

// ignored warns of the parameters that mean nothing here.
func (d DSN) ignored(variable string) []Problem {
	var names []string
	pairs, _ := d.parameters()
	for _, p := range pairs {
		if foreigners()[strings.ToLower(p.keyword)].ignores(p.value) {
			names = append(names, strings.ToLower(p.keyword))
		}
	}
	if names == nil {
		return nil
	}
	return []Problem{{
		Variable: variable,
		Rule:     "has parameters of libpq that mean nothing here and are ignored: " + strings.Join(names, ", "),
		Remedy:   "take them out",
	}}
}
