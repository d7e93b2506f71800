package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// What the driver would refuse without a reason is refused here with one, under
// the name of the variable that said it, and never quoted from a connection string.
func TestWordsOfConnectionStrings(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"DATABASE_URL", "postgres://h/d?channel_binding=hunter2", "DATABASE_URL: has an unknown channel_binding; use disable, prefer or require"},
		{"DATABASE_URL", "host=h target_session_attrs=hunter2", "DATABASE_URL: has an unknown target_session_attrs; use any, read-write, read-only, primary, standby or prefer-standby"},
		{"DATABASE_URL", "host=h default_query_exec_mode=hunter2", "DATABASE_URL: has an unknown default_query_exec_mode; use cache_statement, cache_describe, describe_exec, exec or simple_protocol"},
		{"DATABASE_URL", "postgres://app:hun/ter2@h/d", "DATABASE_URL: holds a / before the @, probably in the password; write special characters percent-encoded: / as %2F, @ as %40, : as %3A, ? as %3F, # as %23"},
		{"DATABASE_URL", "postgres://h/d?sslrootcert=/no/hunter2", "DATABASE_URL: names a file for sslrootcert that cannot be read; put the file there, readable for this process, or name another"},
		{"PGCHANNELBINDING", "yes", `PGCHANNELBINDING: "yes" is no channel_binding; use disable, prefer or require`},
		{"PGTARGETSESSIONATTRS", "master", `PGTARGETSESSIONATTRS: "master" is no target_session_attrs; use any, read-write, read-only, primary, standby or prefer-standby`},
		{"PGSSLKEY", "/no/hunter2", "PGSSLKEY: names a file that cannot be read; put the file there, readable for this process, or name another"},
		{"PGOPTIONS", "-c statement_timeout=hunter2", "PGOPTIONS: has a statement_timeout that is not a time; write 30000 or 30s, or set DB_STATEMENT_TIMEOUT instead"},
	}
	for _, test := range tests {
		_, err := From(with(test.name, test.value))
		if err == nil || err.Error() != "config: "+test.want {
			t.Errorf("%s=%s:\n got %v\nwant config: %s", test.name, test.value, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("quoted: %v", err)
		}
	}
}

// Every word that is let through, the driver takes.
func TestTheDriverTakesTheWords(t *testing.T) {
	for _, c := range keywordChoices() {
		for _, word := range c.words {
			if _, err := pgx.ParseConfig("host=h " + c.keyword + "=" + word); err != nil {
				t.Errorf("%s=%s: %v", c.keyword, word, err)
			}
		}
		if _, err := pgx.ParseConfig("host=h " + c.keyword + "=hunter2"); err == nil {
			t.Errorf("%s=hunter2 is no problem to the driver: why to us?", c.keyword)
		}
	}
}

func TestFilesThatCanBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.crt")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{path, "system"} {
		if _, err := From(with("PGSSLROOTCERT", value)); err != nil {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// A misspelt DATABASE_URL is pointed out when nothing else names a database.
func TestMisspeltDatabaseURL(t *testing.T) {
	_, err := From(map[string]string{"DATABSE_URL": "postgres://app:hunter2@h/d"})
	if err == nil || !strings.HasSuffix(err.Error(), "; if DATABSE_URL is meant to be it, rename that") {
		t.Errorf("got %v", err)
	}
	if _, err := From(with("DATABASES_URL", "postgres://app:hunter2@h/d")); err != nil {
		t.Errorf("another service's variable beside a DATABASE_URL: %v", err)
	}
}
