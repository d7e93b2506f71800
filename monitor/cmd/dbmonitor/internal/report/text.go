package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Text is how a report is printed.
type Text struct {
	Marks bool // leave a column for the mark of what changed
	Color bool // colour what is wrong
}

// Bar draws a percentage in ASCII, so that it survives every log: [####....].
func Bar(percent float64, width int) string {
	full := int(percent/100*float64(width) + 0.5)
	full = min(max(full, 0), width)
	if full == 0 && percent > 0 {
		full = 1
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

// WriteBrief prints the headline and what is wrong.
func (t Text) WriteBrief(out io.Writer, r Report) error {
	r.Rows = slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool { return row.Label != "warning" && row.Label != "critical" })
	return t.Write(out, r)
}

// Write prints the report.
func (t Text) Write(out io.Writer, r Report) error {
	return t.write(out, t.gutter(r.Was != nil && r.Was.Level != r.Verdict.Level)+t.headline(r), r.Rows)
}

// WriteRows prints a headline that begins with a level's word, and rows.
func (t Text) WriteRows(out io.Writer, l Level, headline string, rows []Row) error {
	return t.write(out, t.paint(l, l.Word())+strings.TrimPrefix(headline, l.Word()), rows)
}

func (t Text) write(out io.Writer, headline string, rows []Row) error {
	var b strings.Builder
	b.WriteString(headline + "\n")
	for _, row := range rows {
		line := fmt.Sprintf("%-12s %s", row.Label, row.Text)
		b.WriteString(t.gutter(row.Changed) + t.paint(row.Level, strings.TrimRight(line, " ")) + "\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (t Text) headline(r Report) string {
	s, v := r.Snapshot, r.Verdict
	head := t.paint(v.Level, v.Level.Word())
	if r.Was != nil && r.Was.Level != v.Level {
		head += " (was " + r.Was.Level.String() + ")"
	}
	if v.Level == Unreachable {
		return fmt.Sprintf("%s  %s: %s", head, s.Target, s.Failure)
	}
	name := s.Health.Name
	if name == "" {
		name = "pool"
	}
	head += fmt.Sprintf("  %s at %s", name, s.Target)
	if v.For > 0 {
		head += ", for " + Duration(v.For)
	}
	return head + ", " + s.At.Format("2006-01-02 15:04:05")
}

func (t Text) gutter(changed bool) string {
	switch {
	case !t.Marks:
		return ""
	case changed:
		return "> "
	default:
		return "  "
	}
}

// paint colours a text with the terminal's own palette.
func (t Text) paint(l Level, s string) string {
	code := map[Level]string{Warning: "33", Critical: "31", Unreachable: "31"}[l]
	if !t.Color || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
