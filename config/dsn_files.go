package config

import "os"

// unreadableFiles finds the files of TLS that a connection string, or libpq's
// variables where it is silent, names and that cannot be read. The driver would
// call the whole string unparsable for that.
func unreadableFiles(variable string, said, environ map[string]string) []Problem {
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
		p := Problem{Variable: variable, Rule: "names a file for " + v.keyword + " that cannot be read", Remedy: "put the file there, readable for this process, or name another"}
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
