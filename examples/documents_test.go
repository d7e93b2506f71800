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

// documents are all Markdown files of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "testdata" {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) < 12 {
		t.Fatalf("found %q, %v", paths, err)
	}
	return paths
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```")

// Every piece of Go in a document stands, line for line, in a file that the
// tests compile.
func TestCodeOfDocumentsIsRealCode(t *testing.T) {
	sources, pieces := goFiles(t), 0
	for _, document := range documents(t) {
		for _, block := range goBlock.FindAllStringSubmatch(text(t, document), -1) {
			pieces++
			want := unindented(block[1])
			if !slices.ContainsFunc(sources, func(s string) bool { return strings.Contains(s, want) }) {
				t.Errorf("this piece of %s is in no Go file:\n%s", document, block[1])
			}
		}
	}
	if pieces < 5 {
		t.Fatalf("only %d pieces of Go in the documents", pieces)
	}
}

// The README is one page, and says of the benchmarks what their page says.
func TestREADMEIsShortAndQuotesTheBenchmarks(t *testing.T) {
	readme, benchmarks := text(t, "../README.md"), text(t, "../docs/benchmarks.md")
	if n := strings.Count(readme, "\n"); n >= 200 {
		t.Errorf("the README has %d lines", n)
	}
	_, table, _ := strings.Cut(readme, "| Measured side by side")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")[2:]
	if len(rows) != 5 {
		t.Fatalf("%d rows are measured", len(rows))
	}
	for _, row := range rows {
		for _, figure := range strings.Split(row, "|")[2:5] {
			if !slices.Contains(strings.Fields(benchmarks), strings.TrimSpace(figure)) {
				t.Errorf("%s is not in docs/benchmarks.md: %s", figure, row)
			}
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

// An error ends in a verdict; a document says what to do about each.
func TestEveryVerdictIsExplained(t *testing.T) {
	page := text(t, "../docs/troubleshooting.md")
	verdicts := constants(t, "../pool/errors.go", "Verdict")
	if len(verdicts) < 6 {
		t.Fatalf("only %d verdicts found", len(verdicts))
	}
	for _, v := range verdicts {
		if !strings.Contains(page, "\n## Verdict: "+v+"\n") {
			t.Errorf("no section %q", "## Verdict: "+v)
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
	for _, document := range documents(t) {
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
