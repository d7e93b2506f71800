package examples

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/dbpool-go/dbpool/internal/pgtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	pgtest.Main(m, func() error { return goleak.Find() })
}

func readme(t *testing.T) string {
	t.Helper()
	return text(t, "../README.md")
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

var (
	link    = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
)

// Links to files of this repository, and to sections of them, lead somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	documents, err := filepath.Glob("../*.md")
	if err != nil || len(documents) < 3 {
		t.Fatalf("found %q, %v", documents, err)
	}
	documents = append(documents, "../monitor/cmd/dbmonitor/README.md", "../internal/fleet/PROTOCOL.md")
	for _, document := range documents {
		for _, m := range link.FindAllStringSubmatch(text(t, document), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := document
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(document), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", document, err)
			} else if m[2] != "" && !slices.Contains(anchors(text(t, target)), m[2]) {
				t.Errorf("%s: %s has no section %s", document, target, m[2])
			}
		}
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// anchors are the names that GitHub gives to a document's sections.
func anchors(markdown string) []string {
	var names []string
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(markdown, ""), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		names = append(names, "#"+name)
	}
	return names
}
