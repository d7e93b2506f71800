package examples

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree is a small repository in which the tests run the scripts.
type tree struct {
	t   *testing.T
	dir string
}

// newTree returns one with those files of this repository whose path or name is given.
func newTree(t *testing.T, names ...string) tree {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	r := tree{t, t.TempDir()}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		inside := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		if err != nil || d.IsDir() || !slices.Contains(names, inside) && !slices.Contains(names, d.Name()) {
			return err
		}
		b, err := os.ReadFile(path)
		r.write(inside, string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.must("git", "init", "-q")
	r.must("git", "add", ".")
	return r
}

func (r tree) write(path, content string) {
	r.t.Helper()
	name := filepath.Join(r.dir, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// edit replaces a text that is there.
func (r tree) edit(path, from, to string) {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, path))
	if err != nil || !strings.Contains(string(b), from) {
		r.t.Fatalf("%s has no %q: %v", path, from, err)
	}
	r.write(path, strings.Replace(string(b), from, to, 1))
}

func (r tree) run(name string, args ...string) (output string, ok bool) {
	cmd := exec.CommandContext(r.t.Context(), name, args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	b, err := cmd.CombinedOutput()
	return string(b), err == nil
}

func (r tree) must(name string, args ...string) string {
	r.t.Helper()
	output, ok := r.run(name, args...)
	if !ok {
		r.t.Fatalf("%s %q: %s", name, args, output)
	}
	return output
}

// refuses runs a script that must fail and say so.
func (r tree) refuses(want, name string, args ...string) {
	r.t.Helper()
	if output, ok := r.run(name, args...); ok || !strings.Contains(output, want) {
		r.t.Errorf("%s %q: passed: %t, want %q in\n%s", name, args, ok, want, output)
	}
}

const dbmonitor = "monitor/cmd/dbmonitor/go.mod"

// scripts/tags.sh notices each way in which modules can disagree.
func TestTagsScriptNotices(t *testing.T) {
	for name, c := range map[string]struct{ path, from, to, want string }{
		"another version":    {dbmonitor, "dbpool v0.0.0", "dbpool v0.0.1", "requires v0.0"},
		"a wrong folder":     {dbmonitor, "=> ../../..\n", "=> ../..\n", "is not in ../.."},
		"no replace":         {dbmonitor, "replace ", "// replace ", "is required and not replaced"},
		"another path":       {"monitor/dbpoolprom/go.mod", "/dbpoolprom\n", "/prom\n", "its module is not"},
		"not in go.work":     {"go.work", "\t./monitor/dbpoolprom\n", "", "go.work does not use ./monitor/dbpoolprom"},
		"a version's format": {"go.work", "use", "use", "is no version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTree(t, "go.mod", "go.work", "scripts/lib.sh", "scripts/tags.sh")
			r.must("scripts/tags.sh")
			r.edit(c.path, c.from, c.to)
			var args []string
			if c.want == "is no version" {
				args = []string{"1.0"}
			}
			r.refuses(c.want, "scripts/tags.sh", args...)
		})
	}
}

// It says what to edit for a version, each as a command; afterwards it prints the
// tags, and no command has a replace that go install would refuse.
func TestTagsScriptLeadsToAVersion(t *testing.T) {
	t.Parallel()
	r := newTree(t, "go.mod", "go.work", "scripts/lib.sh", "scripts/tags.sh")
	said, ok := r.run("scripts/tags.sh", "v0.1.0")
	if ok {
		t.Fatal("nothing to edit")
	}
	for line := range strings.Lines(said) {
		if _, command, found := strings.Cut(strings.TrimSpace(line), ": go mod edit "); found {
			r.must("go", append([]string{"mod", "edit"}, strings.Fields(command)...)...)
		} else if _, command, found := strings.Cut(line, "a replace: "); found {
			r.must("sh", "-c", command)
		}
	}
	tags := strings.Fields(r.must("scripts/tags.sh", "v0.1.0"))
	for _, want := range []string{"v0.1.0", "monitor/cmd/dbmonitor/v0.1.0", "pool/adapters/ginpool/v0.1.0"} {
		if !slices.Contains(tags, want) {
			t.Errorf("no tag %s among %q", want, tags)
		}
	}
	if b, err := os.ReadFile(filepath.Join(r.dir, dbmonitor)); err != nil || strings.Contains(string(b), "replace") {
		t.Errorf("%v\n%s", err, b)
	}
}

// scripts/api.sh compares all modules of a workspace with the last tag.
func TestAPIScript(t *testing.T) {
	t.Parallel()
	r := newTree(t, "scripts/lib.sh", "scripts/api.sh")
	r.write("CHANGELOG.md", "## [Unreleased]\n\n## [0.1.0]\n\n### Incompatible\n")
	r.write("go.work", "go 1.26.0\n\nuse (\n\t.\n\t./nested\n)\n")
	r.write("go.mod", "module example.com/m\n\ngo 1.26.0\n")
	r.write("p/p.go", "package p\n\nfunc Kept() {}\n")
	r.write("internal/i/i.go", "package i\n\nfunc Anything() {}\n")
	r.write("nested/go.mod", "module example.com/m/nested\n\ngo 1.26.0\n")
	r.write("nested/n.go", "package nested\n\nfunc F(int) {}\n")
	if said := r.must("scripts/api.sh"); !strings.Contains(said, "nothing has a tag") {
		t.Error(said)
	}
	r.must("git", "add", ".")
	r.must("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "first")
	r.must("git", "tag", "v0.1.0")
	r.write("p/more.go", "package p\n\nfunc More() {}\n")
	r.write("internal/i/i.go", "package i\n")
	if said := r.must("scripts/api.sh"); !strings.Contains(said, "nothing that v0.1.0 exports has changed incompatibly") {
		t.Error(said)
	}
	r.write("nested/n.go", "package nested\n\nfunc F(string) {}\n")
	r.refuses("nested.F: changed", "scripts/api.sh")
	r.write("CHANGELOG.md", "## [Unreleased]\n\n### Incompatible\n\n- F takes a string.\n\n## [0.1.0]\n")
	if said := r.must("scripts/api.sh"); !strings.Contains(said, "as CHANGELOG.md says") {
		t.Error(said)
	}
}
