package ecosystem

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each row of the document's table is one of the libraries tested here, and the
// tests that it names exist.
func TestDocumentListsWhatIsTested(t *testing.T) {
	page, err := os.ReadFile("../../docs/libraries.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "<!-- libraries:begin -->")
	table, _, closed := strings.Cut(table, "<!-- libraries:end -->")
	var listed []string
	for _, row := range regexp.MustCompile(`(?m)^\| \[([^\]]+)\]`).FindAllStringSubmatch(table, -1) {
		listed = append(listed, row[1])
	}
	tested := slices.Concat(slices.Collect(maps.Keys(libraries)), slices.Collect(maps.Keys(migrators)), []string{"River", "watermill-sql"})
	slices.Sort(listed)
	slices.Sort(tested)
	if !found || !closed || !slices.Equal(listed, tested) {
		t.Errorf("listed %q\ntested %q", listed, tested)
	}
	sources := read(t, "libraries_test.go", "migrations_test.go", "queues_test.go", "session_test.go")
	for _, name := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1) {
		if !strings.Contains(sources, "func "+name[1]+"(t *testing.T)") {
			t.Errorf("there is no %s", name[1])
		}
	}
}

// The guide's row on chi names a test that exists.
func TestGuideListsChi(t *testing.T) {
	row := regexp.MustCompile(`(?m)^\| \[chi\].*`).FindString(read(t, "../../docs/guide.md"))
	if !strings.Contains(row, "`TestChi`") || !strings.Contains(read(t, "chi_test.go"), "func TestChi(t *testing.T)") {
		t.Errorf("the guide says %q", row)
	}
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
	}
	return all.String()
}
