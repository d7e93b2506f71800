package ecosystem

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fiveTests stands for the five tests of every library that sends statements;
// the document lists them above its table.
const fiveTests = "the five above"

var (
	testName    = regexp.MustCompile("`(Test[A-Za-z]+)`")
	adapterLink = regexp.MustCompile(`\]\(\.\./(pool/adapters/[a-z]+)\)`)
	rowName     = regexp.MustCompile(`^\| \[([^\]]+)\]`)
)

// Each row of the documents' tables names tests, and they exist: those of an
// adapter beside it, the others in package pool or here.
func TestTablesNameTheirTests(t *testing.T) {
	anywhere := testsIn(t, "pool", "internal/ecosystem")
	for _, table := range []struct{ page, name string }{
		{"guide.md", "frameworks"}, {"libraries.md", "libraries"}, {"libraries.md", "db"},
	} {
		for _, row := range rows(t, table.page, table.name) {
			named := testName.FindAllStringSubmatch(row, -1)
			if len(named) == 0 && !hasTheFive(row) {
				t.Errorf("%s names no test in %q", table.page, row)
			}
			there := anywhere
			if adapter := adapterLink.FindStringSubmatch(row); adapter != nil {
				there = testsIn(t, adapter[1])
			}
			for _, name := range named {
				if !there[name[1]] {
					t.Errorf("%s: there is no %s for %q", table.page, name[1], row)
				}
			}
		}
	}
}

// hasTheFive reports whether a row leaves its tests to those that run for every
// library, and its library is one of those.
func hasTheFive(row string) bool {
	name := rowName.FindStringSubmatch(row)
	if name == nil {
		return false
	}
	_, tested := libraries[name[1]]
	return tested && strings.HasSuffix(row, "| "+fiveTests+" |")
}

// Every library tested here has its row, and no other has one. A test named
// anywhere in the document exists.
func TestDocumentListsWhatIsTested(t *testing.T) {
	var listed []string
	for _, row := range rows(t, "libraries.md", "libraries") {
		if name := rowName.FindStringSubmatch(row); name != nil {
			listed = append(listed, name[1])
		}
	}
	tested := slices.Concat(slices.Collect(maps.Keys(libraries)), slices.Collect(maps.Keys(migrators)), []string{"River", "watermill-sql"})
	slices.Sort(listed)
	slices.Sort(tested)
	if !slices.Equal(listed, tested) {
		t.Errorf("listed %q\ntested %q", listed, tested)
	}
	page, exists := read(t, "../../docs/libraries.md"), testsIn(t, "pool", "internal/ecosystem")
	for _, name := range testName.FindAllStringSubmatch(page, -1) {
		if !exists[name[1]] {
			t.Errorf("there is no %s", name[1])
		}
	}
	above, _, _ := strings.Cut(page, "<!-- libraries:begin -->")
	if n := len(testName.FindAllString(above, -1)); n != 5 {
		t.Errorf("%d tests are listed above the table, whose rows say %q", n, fiveTests)
	}
}

// Every adapter has its row in the guide.
func TestGuideListsTheAdapters(t *testing.T) {
	adapters, err := filepath.Glob("../../pool/adapters/*/go.mod")
	if err != nil || len(adapters) == 0 {
		t.Fatalf("%d adapters: %v", len(adapters), err)
	}
	table := strings.Join(rows(t, "guide.md", "frameworks"), "\n")
	for _, file := range adapters {
		if folder := filepath.Base(filepath.Dir(file)); !strings.Contains(table, "](../pool/adapters/"+folder+")") {
			t.Errorf("no row for %s", folder)
		}
	}
}

// rows are the rows of a table of a document, which stands between two marks.
func rows(t *testing.T, page, table string) []string {
	t.Helper()
	_, rest, begun := strings.Cut(read(t, "../../docs/"+page), "<!-- "+table+":begin -->\n")
	text, _, ended := strings.Cut(rest, "\n<!-- "+table+":end -->")
	lines := strings.Split(text, "\n")
	if !begun || !ended || len(lines) < 3 {
		t.Fatalf("%s has no table %q", page, table)
	}
	return lines[2:] // without the heading
}

// testsIn are the names of the tests in some folders of the tree.
func testsIn(t *testing.T, folders ...string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files of tests in %s: %v", len(files), folder, err)
		}
		for _, found := range regexp.MustCompile(`(?m)^func (Test[A-Za-z]+)\(t \*testing\.T\)`).FindAllStringSubmatch(read(t, files...), -1) {
			names[found[1]] = true
		}
	}
	return names
}

func read(t *testing.T, paths ...string) string {
	t.Helper()
	var all strings.Builder
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
		all.WriteByte('\n')
	}
	return all.String()
}
