package live

import (
	"math"
	"strings"

	"charm.land/lipgloss/v2"
)

// eighths are the levels that one cell can show.
var eighths = []rune(" ▁▂▃▄▅▆▇█")

// segment is one part of a bar.
type segment struct {
	n     int
	glyph string
	style lipgloss.Style
}

// bar draws parts of a whole, each in proportion; what is left over is dots. A
// part that is there is never drawn as nothing, as long as there is room.
func bar(segments []segment, whole, width int) string {
	var b strings.Builder
	width = max(width, 0)
	sum, drawn := 0, 0
	for _, s := range segments {
		if s.n <= 0 || whole <= 0 {
			continue
		}
		sum += min(s.n, whole-sum) // never beyond the whole, and never around it
		cells := int(math.Round(float64(sum)/float64(whole)*float64(width))) - drawn
		cells = min(max(cells, 1), width-drawn)
		b.WriteString(s.style.Render(strings.Repeat(s.glyph, cells)))
		drawn += cells
	}
	return b.String() + faint.Render(strings.Repeat("·", width-drawn))
}

// area draws values as columns of a chart so many rows high, whose top stands
// for most. style colours each column. Where nothing is known it stays empty.
func area(values []float64, most float64, rows int, style func(float64) lipgloss.Style) []string {
	lines := make([]string, rows)
	for row := range lines {
		var b strings.Builder
		base := float64(rows - 1 - row)
		for _, run := range runs(values, style) {
			cells := make([]rune, 0, len(run.values))
			for _, v := range run.values {
				cells = append(cells, cell(v, most, float64(rows), base))
			}
			b.WriteString(run.style.Render(string(cells)))
		}
		lines[row] = b.String()
	}
	return lines
}

// cell is what a column shows in the row that begins at base. A value above 0 shows
// at least an eighth.
func cell(v, most, rows, base float64) rune {
	if math.IsNaN(v) {
		return ' '
	}
	height := 0.0
	if most > 0 {
		height = min(max(v/most, 0), 1) * rows
	}
	if v > 0 {
		height = max(height, 1.0/8)
	}
	if base == 0 && height == 0 {
		return '·'
	}
	return eighths[int(math.Round(min(max(height-base, 0), 1)*8))]
}

// run is columns that look alike.
type run struct {
	values []float64
	style  lipgloss.Style
}

func runs(values []float64, style func(float64) lipgloss.Style) []run {
	var all []run
	for i, v := range values {
		s := style(v)
		if i > 0 && s.GetForeground() == all[len(all)-1].style.GetForeground() {
			last := &all[len(all)-1]
			last.values = append(last.values, v)
			continue
		}
		all = append(all, run{[]float64{v}, s})
	}
	return all
}

// highest is the largest value that is known, 0 when none is.
func highest(values []float64) float64 {
	most := 0.0
	for _, v := range values {
		if v > most {
			most = v
		}
	}
	return most
}

// nice is a round number at or above f, for the top of a scale.
func nice(f float64) float64 {
	if f <= 0 || math.IsInf(f, 0) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(f)))
	for _, step := range []float64{1, 2, 5, 10} {
		if step*unit >= f {
			return step * unit
		}
	}
	return 10 * unit
}
