package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The README's screens are the golden files of the tests.
func TestReadmeShowsWhatIsPrinted(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`<!-- from (\S+) -->\n((?:(?:    .*)?\n)+)`).FindAllStringSubmatch(string(readme), -1)
	if len(shown) != 3 {
		t.Fatalf("%d screens", len(shown))
	}
	for _, s := range shown {
		golden, err := os.ReadFile(s[1])
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for line := range strings.SplitSeq(strings.TrimRight(string(golden), "\n"), "\n") {
			want = append(want, strings.TrimRight("    "+line, " "))
		}
		if strings.TrimRight(s[2], "\n") != strings.Join(want, "\n") {
			t.Errorf("the README's screen differs from %s", s[1])
		}
	}
}

// Every flag and exit code that the README names is in the help.
func TestReadmeAndHelpAgree(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, help, _ := invoke(t.Context(), nil, "--help")
	_, doctor, _ := invoke(t.Context(), nil, "doctor", "--help")
	for _, flag := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(string(readme), -1) {
		if !strings.Contains(help+doctor, flag) {
			t.Errorf("%s is in the README and not in the help", flag)
		}
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| (\w+) `).FindAllStringSubmatch(string(readme), -1) {
		if !regexp.MustCompile(row[1] + ` +` + row[2]).MatchString(help) {
			t.Errorf("code %s %s is in the README and not in the help", row[1], row[2])
		}
	}
}
