package dbpoolotel

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the document's table from the code")

// The document's table is written by this package: go test . -update.
func TestDocumentListsEveryInstrument(t *testing.T) {
	const path, begin, end = "../../docs/metrics.md", "<!-- instruments:begin -->\n", "<!-- instruments:end -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no section %s … %s", path, strings.TrimSpace(begin), end)
	}
	want := table(slices.Concat(conventional(), []instrument{createTime(), waitTime(), useTime()}, ours()))
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("the table of instruments in %s is not what the code exports; go test . -update writes it:\n%s", path, want)
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// table lists all as Markdown: name and attribute, type, unit, meaning.
func table(all []instrument) string {
	var b strings.Builder
	b.WriteString("| instrument | type | unit | meaning |\n|---|---|---|---|\n")
	for _, in := range all {
		name := in.name
		if in.attr != "" {
			name += "{" + in.attr + "}"
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", name, in.kind, in.unit, in.description)
	}
	return b.String()
}
