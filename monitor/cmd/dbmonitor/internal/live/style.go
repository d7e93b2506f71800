package live

import (
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
)

// The colours are the terminal's own sixteen, so that the view follows its
// theme, light or dark. Everything they say is said in words or signs too.
var (
	plain  = lipgloss.NewStyle()
	strong = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Foreground(lipgloss.BrightBlack)
	title  = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Cyan)
	good   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	warn   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	bad    = lipgloss.NewStyle().Foreground(lipgloss.Red)
	busy   = lipgloss.NewStyle().Foreground(lipgloss.Blue)
	going  = lipgloss.NewStyle().Foreground(lipgloss.Magenta)
)

// styleOf is the colour of a level.
func styleOf(l report.Level) lipgloss.Style {
	switch l {
	case report.Healthy:
		return good
	case report.Warning:
		return warn
	default:
		return bad
	}
}

// sign is the shape of a level, for those who see no colours.
func sign(l report.Level) string {
	return [...]string{"●", "▲", "✖", "○"}[min(max(l, 0), 3)]
}

// fit cuts or fills a styled line to exactly so many columns.
func fit(line string, width int) string {
	line = ansi.Truncate(line, max(width, 0), "…")
	return line + strings.Repeat(" ", max(width-ansi.StringWidth(line), 0))
}

// spread puts one text to the left and one to the right; the right one gives way.
func spread(left, right string, width int) string {
	gap := width - ansi.StringWidth(left) - ansi.StringWidth(right)
	if gap < 1 {
		return fit(left, width)
	}
	return left + strings.Repeat(" ", gap) + right
}

// heading is a line with a name in it: ── Server ──────.
func heading(name, note string, width int) string {
	if note != "" {
		note = faint.Render(" " + note)
	}
	head := faint.Render("──") + " " + title.Render(name) + note + " "
	rest := width - ansi.StringWidth(head)
	if rest < 0 {
		return fit(head, width)
	}
	return head + faint.Render(strings.Repeat("─", rest))
}

// beside puts blocks next to each other, each with its own width, two columns
// apart. Shorter blocks are filled with empty lines.
func beside(blocks [][]string, widths []int) []string {
	height := 0
	for _, b := range blocks {
		height = max(height, len(b))
	}
	lines := make([]string, height)
	for i := range lines {
		parts := make([]string, len(blocks))
		for j, b := range blocks {
			line := ""
			if i < len(b) {
				line = b[i]
			}
			parts[j] = fit(line, widths[j])
		}
		lines[i] = strings.Join(parts, "  ")
	}
	return lines
}

// split divides a width among n columns that stand two apart.
func split(width, n int) []int {
	widths := make([]int, n)
	free := width - 2*(n-1)
	for i := range widths {
		widths[i] = free*(i+1)/n - free*i/n
	}
	return widths
}
