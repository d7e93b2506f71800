package config

import (
	"maps"
	"slices"
	"strings"
)

// typos finds variables that look like ours and are not: they would do
// nothing, and nobody would notice. A near miss is a name of one of our
// families that
//
//   - is one of our names but for upper and lower case, the order of its words
//     or how they are joined, or
//   - is at most a few typing errors away (see tolerance).
//
// Other DB_… variables are somebody else's, and so may be a near miss when the
// variable it resembles is set too; see shadowed.
func typos(environ map[string]string) []Problem {
	var problems []Problem
	for _, name := range sortedNames(environ) {
		meant := intended(name)
		if meant == "" || environ[name] == "" || environ[meant] != "" {
			continue
		}
		problems = append(problems, Problem{
			Variable: name,
			Rule:     "is not a variable of this library and does nothing",
			Remedy:   "if " + meant + " is meant, rename it; if it belongs to something else, set " + meant + " too",
		})
	}
	return problems
}

// shadowed warns of what may be a misspelling although the variable it
// resembles is set, and of names that hold all words of one of ours and more:
// DB_POOL_MAX_OVERFLOW. They may be somebody else's, so they are not refused.
func shadowed(environ map[string]string) (warnings []Problem) {
	for _, name := range sortedNames(environ) {
		meant := intended(name)
		if meant == "" {
			meant = within(name)
		}
		if meant == "" || environ[name] == "" {
			continue
		}
		w := Problem{Variable: name, Rule: "is not a variable of this library and does nothing", Remedy: "set " + meant + " if that is meant"}
		if environ[meant] != "" {
			w.Remedy = meant + " is set and counts"
		}
		warnings = append(warnings, w)
	}
	return warnings
}

// within returns the variable of ours whose words are all among those of name.
// A variable of two words says too little.
func within(name string) string {
	upper := strings.ToUpper(name)
	words := strings.Split(upper, "_")
	if slices.ContainsFunc(Variables(), func(v Variable) bool { return v.Name == name }) {
		return ""
	}
	for _, v := range Variables() {
		ours := strings.Split(v.Name, "_")
		if len(ours) < 3 || !inFamily(upper) {
			continue
		}
		if !slices.ContainsFunc(ours, func(word string) bool { return !slices.Contains(words, word) }) {
			return v.Name
		}
	}
	return ""
}

func joined(name string) string { return strings.ReplaceAll(name, "_", "") }

// intended returns the variable of ours that name was meant to be, or "".
func intended(name string) string {
	upper := strings.ToUpper(name)
	if !inFamily(upper) && !slices.ContainsFunc(Variables(), func(v Variable) bool { return joined(upper) == joined(v.Name) }) || isForeign(upper) {
		return ""
	}
	meant, least := "", len(name)
	for _, v := range Variables() {
		if v.Name == name {
			return ""
		}
		d := distance(upper, v.Name)
		if sameWords(upper, v.Name) || joined(upper) == joined(v.Name) {
			d = 0
		}
		if d <= tolerance(v.Name) && d < least {
			meant, least = v.Name, d
		}
	}
	return meant
}

func inFamily(name string) bool {
	for _, prefix := range []string{"DB_", "DATABASE_", "ENABLE_POOL", "LOG_POOL", "MAX_CONNECTION"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// isForeign knows the well-known variables of others that are within tolerance
// of one of ours: Rails' pool size, and the limit of database/sql.
func isForeign(name string) bool { return name == "DB_POOL" || name == "DB_MAX_IDLE" }

// tolerance is how many typing errors still make a near miss: few in a short
// name, where another word is soon reached, more in a long one, so that
// DB_CONNECTION_TIMEOUT and ENABLE_POOL_MONITOR are found.
func tolerance(name string) int {
	switch n := len(name); {
	case n < len("DB_POOLER"):
		return 1
	case n < len("DB_LEAK_THRESHOLD"):
		return 2
	}
	return 3
}

// sameWords reports whether two names consist of the same words in any order.
func sameWords(a, b string) bool {
	return slices.Equal(slices.Sorted(strings.SplitSeq(a, "_")), slices.Sorted(strings.SplitSeq(b, "_")))
}

// distance counts the typing errors between two names: a letter missing, one
// too many, a wrong one, or two neighbours swapped (optimal string alignment).
func distance(a, b string) int {
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+differ(a[i-1], b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}

func sortedNames(environ map[string]string) []string {
	return slices.Sorted(maps.Keys(environ))
}
