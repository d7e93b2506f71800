package report

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// widest is the width at which a column stops pushing the next ones aside.
const widest = 44

// Table lays rows out in columns, as wide as their contents. A column that is
// empty in every row takes no room.
func Table[T any](rows []T, columns func(T) []string) []string {
	cells := make([][]string, len(rows))
	var width []int
	for i, r := range rows {
		cells[i] = columns(r)
		for j, c := range cells[i] {
			if j == len(width) {
				width = append(width, 0)
			}
			width[j] = min(max(width[j], ansi.StringWidth(c)), widest)
		}
	}
	lines := make([]string, len(rows))
	for i, row := range cells {
		var b strings.Builder
		for j, c := range row {
			if width[j] == 0 {
				continue
			}
			b.WriteString(c + strings.Repeat(" ", max(width[j]-ansi.StringWidth(c), 0)) + "  ")
		}
		lines[i] = strings.TrimRight(b.String(), " ")
	}
	return lines
}
