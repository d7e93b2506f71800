package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dbpool-go/dbpool/internal/pgtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	pgtest.Main(m, func() error { return goleak.Find() })
}

func TestWithPG(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"the command has a database", []string{"-set", "max_connections=12", "--", "sh", "-c", "cat; echo $DATABASE_URL"}, 0, "typed\npostgres://postgres@127.0.0.1:", ""},
		{"its exit code is ours", []string{"sh", "-c", "exit 7"}, 7, "", ""},
		{"killed", []string{"sh", "-c", "kill -9 $$"}, 1, "", "killed"},
		{"no command", []string{"-version", "0"}, 2, "", "no command"},
		{"no such command", []string{"/nowhere"}, 1, "", "/nowhere"},
		{"bad setting", []string{"-set", "x", "true"}, 2, "", "name=value"},
		{"bad value", []string{"-set", "max_connections=x", "true"}, 1, "", "max_connections"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), c.args, strings.NewReader("typed\n"), &stdout, &stderr)
			if code != c.code || !strings.HasPrefix(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
			}
		})
	}
}
