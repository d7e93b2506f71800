package dbpoolprom

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The document's table is written by this package: go test . -update.
func TestDocumentListsEveryMetric(t *testing.T) {
	const path, begin, end = "../../docs/metrics.md", "<!-- metrics:begin -->\n", "<!-- metrics:end -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no section %s … %s", path, strings.TrimSpace(begin), end)
	}
	want := table(slices.Concat(dbpoolMetrics(), viewMetrics(), goSQLMetrics()))
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("the table of metrics in %s is not what the code exports; go test . -update writes it:\n%s", path, want)
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// table lists ms as Markdown: name and label, type, unit, meaning.
func table(ms []metric) string {
	var b strings.Builder
	b.WriteString("| metric | type | unit | meaning |\n|---|---|---|---|\n")
	for _, m := range ms {
		name := m.name
		if m.label != "" {
			name += "{" + m.label + "}"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, m.kind, m.unit, m.help)
	}
	return b.String()
}

// What the table says is what is exported, not only what the code says of itself.
func TestTableMatchesScrape(t *testing.T) {
	families := parse(t, scrape(t, registry(t, NewCollector(&fixed{stats: busy()}, known()))))
	listed := slices.Concat(dbpoolMetrics(), viewMetrics(), goSQLMetrics())
	if len(families) != len(listed) {
		t.Errorf("%d metrics exported, %d listed", len(families), len(listed))
	}
	for _, m := range listed {
		f := families[m.name]
		if f == nil || !strings.EqualFold(f.GetType().String(), string(m.kind)) || f.GetHelp() != m.help {
			t.Errorf("%s: listed as %s %q, exported as %v", m.name, m.kind, m.help, f)
		}
		if m.label != "" && label(f.GetMetric()[0], m.label) == "" {
			t.Errorf("%s: no label %s", m.name, m.label)
		}
	}
}
