package config

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// serviceKeywords returns the keywords that the service file settles, if a
// service is named. libpq's variables must not override them, so they have to
// be known; their values stay in the file, where pgx reads them.
func serviceKeywords(variable string, said, environ map[string]string) (map[string]string, []Problem) {
	name := said["service"]
	if name == "" {
		name, variable = environ["PGSERVICE"], "PGSERVICE"
	}
	if name == "" {
		return map[string]string{}, nil
	}
	if rule, _ := mangled("service", name); rule != "" && variable == "PGSERVICE" {
		return map[string]string{}, nil // which is reported with the other variables
	}
	path := serviceFile(said, environ)
	keywords, err := readService(path, name)
	if err != nil {
		return map[string]string{}, []Problem{{
			Variable: variable,
			Rule:     "names a service, but the service file cannot be read",
			Remedy:   "set PGSERVICEFILE to a readable file (default ~/.pg_service.conf)",
		}}
	}
	if keywords == nil {
		return map[string]string{}, []Problem{{
			Variable: variable,
			Rule:     "names a service that is not in the service file",
			Remedy:   "add a section of that name to the file, or name one that is there",
		}}
	}
	return keywords, nil
}

// serviceFile finds the service file where pgx will look for it.
func serviceFile(said, environ map[string]string) string {
	for _, path := range []string{said["servicefile"], environ["PGSERVICEFILE"]} {
		if path != "" {
			return path
		}
	}
	if appData := environ["APPDATA"]; appData != "" && os.PathSeparator == '\\' {
		return filepath.Join(appData, "postgresql", ".pg_service.conf")
	}
	return filepath.Join(environ["HOME"], ".pg_service.conf")
}

// readService returns the keywords in the section [name] of a service file; nil
// if there is no such section. The last of several sections counts.
func readService(path, name string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from: nothing can be lost

	var keywords map[string]string
	inside := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			inside = line == "["+name+"]"
			if inside {
				keywords = make(map[string]string)
			}
			continue
		}
		keyword, _, found := strings.Cut(line, "=")
		if inside && found { // a comment is a keyword that nobody asks for
			keywords[canonical(strings.TrimSpace(keyword))] = ""
		}
	}
	return keywords, lines.Err()
}
