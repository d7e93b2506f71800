package pgtest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Without any server tests fail; without one that was named they are skipped,
// unless all servers are required.
func TestMissingServerIsLoud(t *testing.T) {
	cases := []struct {
		name     string
		err      error
		required string
		skips    bool
	}{
		{"none at all", &MissingError{}, "", false},
		{"none at all, required", &MissingError{}, "1", false},
		{"a named version", &MissingError{Version: 18}, "", true},
		{"a named version, required", &MissingError{Version: 18}, "1", false},
		{"something else", errors.New("disk full"), "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("DBPOOL_REQUIRE_SERVERS", c.required)
			p := &probe{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				failOrSkip(p, c.err)
			}()
			<-done
			if p.skipped != c.skips || p.said != c.err.Error() {
				t.Errorf("skipped %v, said %q", p.skipped, p.said)
			}
		})
	}
}

func TestMissingErrorNamesTheRemedy(t *testing.T) {
	_, err := Open(t.Context(), Options{Version: 3})
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Version != 3 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"PostgreSQL 3", "scripts/install.sh", "DBPOOL_PG_BIN", "version "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
}

func TestCandidatesPutTheUsersChoiceFirst(t *testing.T) {
	t.Setenv("DBPOOL_PG_BIN", "/any")
	t.Setenv("DBPOOL_PG18_BIN", "/eighteen")
	if got := candidates(18); got[0] != "/eighteen" || got[1] != "/any" {
		t.Errorf("18: %v", got)
	}
	if got := candidates(0); got[0] != "/any" || slices.Contains(got, "/eighteen") {
		t.Errorf("any: %v", got)
	}
}

func TestNewestFirstReadsVersions(t *testing.T) {
	root := t.TempDir()
	for _, v := range []string{"pg9", "pg18", "pg13"} {
		if err := os.MkdirAll(filepath.Join(root, v, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got := newestFirst(filepath.Join(root, "pg*/bin"))
	for i, v := range []string{"pg18", "pg13", "pg9"} {
		if got[i] != filepath.Join(root, v, "bin") {
			t.Fatalf("order %v", got)
		}
	}
}

func TestInspectSaysWhatIsWrong(t *testing.T) {
	who, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := who.makeDir("dbpool-inspect-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, c := range []struct{ script, want string }{
		{"", "no initdb"},
		{"echo postgres 'PostgreSQL' 9.6", "is not PostgreSQL 13 or newer"},
		{"echo broken library >&2; exit 1", "broken library"},
	} {
		if c.script != "" {
			for _, name := range []string{"initdb", "postgres"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := inspect(dir, who); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.script, err, c.want)
		}
	}
}

func TestOpenToOthers(t *testing.T) {
	dir := t.TempDir()
	if openToOthers(filepath.Join(dir, "none")) {
		t.Error("a folder that is not there")
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if openToOthers(dir) {
		t.Error("a private folder")
	}
	if !openToOthers("/tmp") {
		t.Error("/tmp")
	}
}
