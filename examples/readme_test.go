package examples

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dbpool-go/dbpool/internal/pgtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	pgtest.Main(m, func() error { return goleak.Find() })
}

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```")

// Every piece of Go in the README stands, line for line, in a file that the
// tests compile.
func TestREADMECodeIsRealCode(t *testing.T) {
	sources := goFiles(t)
	blocks := goBlock.FindAllStringSubmatch(readme(t), -1)
	if len(blocks) < 3 {
		t.Fatalf("only %d blocks of Go in the README", len(blocks))
	}
	for _, block := range blocks {
		want := unindented(block[1])
		found := false
		for _, source := range sources {
			found = found || strings.Contains(source, want)
		}
		if !found {
			t.Errorf("this piece of the README is in no Go file:\n%s", block[1])
		}
	}
}

// unindented compares lines wherever they stand, without the alignment of comments.
func unindented(code string) string {
	lines := strings.Split(strings.TrimSpace(code), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

func goFiles(t *testing.T) []string {
	t.Helper()
	var sources []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		sources = append(sources, unindented(string(b)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// An error ends in a verdict; the README says what to do about each.
func TestREADMEExplainsEveryVerdict(t *testing.T) {
	text := readme(t)
	verdicts := constants(t, "../pool/errors.go", "Verdict")
	if len(verdicts) < 6 {
		t.Fatalf("only %d verdicts found", len(verdicts))
	}
	for _, v := range verdicts {
		if !strings.Contains(text, "\n### Verdict: "+v+"\n") {
			t.Errorf("no section %q", "### Verdict: "+v)
		}
	}
}

// constants are the string constants of a type in a file.
func constants(t *testing.T, path, typeName string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != typeName {
			return true
		}
		for _, v := range spec.Values {
			if lit, ok := v.(*ast.BasicLit); ok {
				s, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, s)
			}
		}
		return true
	})
	return values
}

var link = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)

// Links to files of this repository lead somewhere.
func TestREADMELinksLeadSomewhere(t *testing.T) {
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		b, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
