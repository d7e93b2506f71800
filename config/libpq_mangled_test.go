package config

import (
	"errors"
	"strings"
	"testing"
)

// TestEveryLibpqVariableIsChecked spoils each variable of libpq's that pgx reads
// in the ways in which files of secrets and of environments spoil them. Each is
// refused under its own name, in one line, which quotes nothing of a secret.
func TestEveryLibpqVariableIsChecked(t *testing.T) {
	const value = "hunter2hunter2"
	spoilt := map[string]string{
		"a line break":           value + "\n",
		"a carriage return":      value + "\r",
		"both":                   value + "\r\n",
		"a tab":                  "\t" + value,
		"a zero byte":            value + "\x00",
		"quotation marks":        `"` + value + `"`,
		"single ones":            "'" + value + "'",
		"a space before":         " " + value,
		"a space after":          value + " ",
		"a line break inside":    "hunter2\nhunter2",
		"a no-break space after": value + "\u00a0",
	}
	for _, v := range libpqVariables() {
		secret := v.keyword == "password" || v.keyword == "sslpassword"
		for how, value := range spoilt {
			if strings.Contains(how, "space") && (secret || v.keyword == "options") {
				continue // spaces may be a part of these
			}
			t.Run(v.name+"/"+how, func(t *testing.T) {
				environ := map[string]string{"PGHOST": "db", "PGUSER": "app", "PGDATABASE": "orders"}
				environ[v.name] = value
				_, err := From(environ)
				var problems *Error
				if !errors.As(err, &problems) {
					t.Fatalf("accepted: %v", err)
				}
				for _, p := range problems.Problems {
					if p.Variable != v.name {
						t.Errorf("%s is blamed: %v", p.Variable, err)
					}
				}
				if text := err.Error(); strings.ContainsAny(text, "\n\r\t\x00") || strings.Contains(text, "hunter2") && secret || !strings.Contains(text, ";") {
					t.Errorf("the error is %q", text)
				}
			})
		}
	}
}
