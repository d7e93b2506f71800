package sqltext

import "regexp"

var (
	list = regexp.MustCompile(`\(\s*(?:\$\d+|\?)(?:\s*,\s*(?:\$\d+|\?))+\s*\)`)
	rows = regexp.MustCompile(`\(…\)(?:\s*,\s*\(…\))+`)
)

// Folded is Shape with lists of values folded, so that a statement is the same
// however many values it has: in ($1, $2, $3) becomes in (…), and so do the rows
// of an insert.
func Folded(query string) string {
	return rows.ReplaceAllString(list.ReplaceAllString(Shape(query), "(…)"), "(…)")
}
