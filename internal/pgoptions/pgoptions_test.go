package pgoptions

import (
	"fmt"
	"testing"
)

func TestParse(t *testing.T) {
	for options, want := range map[string]string{
		"":                               "[] []",
		"-c a=1":                         "[{a 1}] []",
		"-ca=1 --b-c=2 -c  D=x=y":        "[{a 1} {b_c 2} {d x=y}] []",
		`-c search_path=a\ b,c\\`:        `[{search_path a b,c\}] []`,
		"endpoint=ep-1 -c jit=off":       "[{jit off}] [endpoint=ep-1]",
		"-c":                             "[] [-c]",
		"-c -c a=1":                      "[] [-c a=1]",
		"-d 5 --alone":                   "[] [-d 5 --alone]",
		"\t-c\na=1 ":                     "[{a 1}] []",
		"-c statement_timeout=1 -c s.t=": "[{statement_timeout 1} {s.t }] []",
	} {
		settings, rest := Parse(options)
		if got := fmt.Sprint(settings, rest); got != want {
			t.Errorf("%q: got %s, want %s", options, got, want)
		}
	}
}

// What is joined is split into the same again.
func FuzzJoin(f *testing.F) {
	f.Add(`a b\c`, "d")
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == "" || b == "" {
			return
		}
		if got := split(Join([]string{a, b})); len(got) != 2 || got[0] != a || got[1] != b {
			t.Errorf("%q, %q became %q", a, b, got)
		}
	})
}
