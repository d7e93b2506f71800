package config

import (
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of variables into docs/configuration.md")

// The table, the fields and their tags name the same things.
func TestVariablesAndFieldsAgree(t *testing.T) {
	tags := make(map[string]string)
	for i := range reflect.TypeFor[Config]().NumField() {
		f := reflect.TypeFor[Config]().Field(i)
		if f.IsExported() {
			tags[f.Name] = f.Tag.Get("env")
		}
	}
	for _, v := range Variables() {
		if v.Name == "" || v.Description == "" {
			t.Errorf("%+v is not described", v)
		}
		if v.Field != "" && tags[v.Field] != v.Name {
			t.Errorf("%s sets %s, whose tag is %q", v.Name, v.Field, tags[v.Field])
		}
		delete(tags, v.Field)
	}
	if len(tags) > 0 {
		t.Errorf("not in the table: %v", tags)
	}
}

// What the table gives as a preset's value gives that preset when set.
func TestTableValuesCanBeSet(t *testing.T) {
	standard, production, development, serverless := with(), with(), with(), with()
	for _, v := range Variables() {
		if v.Field == "" || v.Field == "DatabaseURL" {
			continue
		}
		standard[v.Name] = v.Default
		production[v.Name] = v.Production
		development[v.Name] = v.Development
		serverless[v.Name] = v.Serverless
	}
	for _, test := range []struct {
		environ map[string]string
		want    Config
	}{{standard, Default()}, {production, Production()}, {development, Development()}, {serverless, Serverless()}} {
		test.want.DatabaseURL = someURL
		if got, err := From(test.environ); err != nil || got != test.want {
			t.Errorf("got %v, %v\nwant %v", got, err, test.want)
		}
	}
}

func TestVariablesMarkdown(t *testing.T) {
	table := VariablesMarkdown()
	for _, row := range []string{
		"| `DB_POOL_SIZE` | `5` (production `3`, development `10`, serverless `1`) | connections | Connections kept open; 1 or more |\n",
		"| `DB_STATEMENT_TIMEOUT` | `30000` | milliseconds | ",
		"| `ENABLE_POOL_MONITORING` | `true` (serverless `false`) |  | ",
		"| `DB_ENV` | `default` |  | ",
		"| `DATABASE_URL` |  |  | ",
	} {
		if !strings.Contains(table, row) {
			t.Errorf("no row %q in\n%s", row, table)
		}
	}
	for line := range strings.Lines(table) {
		if strings.Count(line, "|") != 5 {
			t.Errorf("a row of other than four cells: %s", line)
		}
	}
}

func TestBareNumberIsReadBack(t *testing.T) {
	for _, value := range []string{"30", "1.5s", "250ms", "1m30.5s"} {
		c, err := From(with("DB_LEAK_THRESHOLD", value, "DB_STATEMENT_TIMEOUT", value))
		if err != nil {
			t.Fatal(err)
		}
		again, err := From(with(
			"DB_LEAK_THRESHOLD", bareNumber(c.LeakThreshold, "seconds"),
			"DB_STATEMENT_TIMEOUT", bareNumber(c.StatementTimeout, "milliseconds")))
		c.noticed, again.noticed = "", "" // that 250 is little
		if err != nil || again != c {
			t.Errorf("%s: %v became %v, %v", value, c, again, err)
		}
	}
}

// The document holds the table as the code has it. To bring it up to date:
// go test ./config -run Document -update
func TestDocumentHoldsTheTable(t *testing.T) {
	const (
		path  = "../docs/configuration.md"
		begin = "<!-- variables:begin -->\n"
		end   = "<!-- variables:end -->"
	)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	table, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no lines %s and %s", path, strings.TrimSpace(begin), end)
	}
	if table == VariablesMarkdown() {
		return
	}
	if !*update {
		t.Fatalf("the table of variables in %s is not the code's; run go test ./config -run Document -update", path)
	}
	if err := os.WriteFile(path, []byte(before+begin+VariablesMarkdown()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The README shows eight of its rows, as they are.
func TestREADMEShowsRowsOfTheTable(t *testing.T) {
	content, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for line := range strings.Lines(string(content)) {
		if !strings.HasPrefix(line, "| `DB_") && !strings.HasPrefix(line, "| `DATABASE_URL`") {
			continue
		}
		shown++
		if !strings.Contains(VariablesMarkdown(), line) {
			t.Errorf("this row of the README is not in the code's table:\n%s", line)
		}
	}
	if shown != 8 {
		t.Errorf("the README shows %d variables", shown)
	}
}
