package live

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
)

// leastCard is the width below which a card says too little.
const leastCard = 24

// cards stand side by side, one per service, in as many rows as there is room
// for; the row with the selected one is always there.
func (m *model) cards() []string {
	perRow := min(max((m.width+2)/(leastCard+2), 1), len(m.services))
	rows := (len(m.services) + perRow - 1) / perRow
	inner := 3 // lines within a card
	if rows > 1 && rows*5 > m.height/3 {
		inner = 2
	}
	shown := min(max(m.height/3/(inner+2), 1), rows)
	first := min(max(m.selected/perRow-shown/2, 0), rows-shown)
	var lines []string
	for row := first; row < first+shown; row++ {
		lines = append(lines, m.cardRow(row*perRow, perRow, inner)...)
	}
	return lines
}

func (m *model) cardRow(from, perRow, inner int) []string {
	widths := split(m.width, perRow)
	blocks := make([][]string, perRow)
	for i := range blocks {
		if from+i < len(m.services) {
			blocks[i] = m.card(from+i, widths[i], inner)
		}
	}
	return beside(blocks, widths)
}

func (m *model) card(i, width, inner int) []string {
	s := m.services[i]
	in := width - 4
	lines := append([]string{s.usageLine(in), s.trafficLine(in)}, m.spark(s, in))[:inner]
	border, frame := lipgloss.NormalBorder(), faint
	if i == m.selected {
		border, frame = lipgloss.ThickBorder(), title
	}
	name := fmt.Sprintf(" %s %s ", s.badgeSign(), strong.Render(ansi.Truncate(s.name(), max(in-2, 1), "…")))
	top := frame.Render(border.TopLeft+border.Top) + name
	top += frame.Render(strings.Repeat(border.Top, max(width-ansi.StringWidth(top)-1, 0)) + border.TopRight)
	out := []string{top}
	for _, l := range lines {
		out = append(out, frame.Render(border.Left)+" "+fit(l, in)+" "+frame.Render(border.Right))
	}
	return append(out, frame.Render(border.BottomLeft+strings.Repeat(border.Bottom, max(width-2, 0))+border.BottomRight))
}

func (s *service) badgeSign() string {
	if !s.heard {
		return faint.Render("…")
	}
	return styleOf(s.verdict.Level).Render(sign(s.verdict.Level))
}

// usageLine is a bar and how full it is; without an answer, why.
func (s *service) usageLine(width int) string {
	switch {
	case !s.heard:
		return faint.Render("no answer yet")
	case s.snap.Failure != nil:
		return bad.Render(s.snap.Failure.What)
	}
	text := fmt.Sprintf(" %d/%d", s.health.InUse, s.health.MaxOpen)
	return s.poolBar(width-len(text)) + text
}

// poolBar shows the connections of the pool in proportion to the most it may
// have; without colour when that is no longer known to be so.
func (s *service) poolBar(width int) string {
	inUse := segment{s.health.InUse, "█", styleOf(s.usageLevel())}
	if s.snap.Failure != nil {
		inUse.style = faint
	}
	if s.status == nil {
		return bar([]segment{inUse}, s.health.MaxOpen, width)
	}
	p := s.status.Pool
	return bar([]segment{inUse, {p.Dialing, "▓", busy}, {p.Closing, "▒", going}, {p.CheckedIn, "░", faint}}, max(p.MaxOpen, p.Limit), width)
}

// usageLevel is how bad the usage alone is.
func (s *service) usageLevel() report.Level {
	h := s.health
	switch {
	case h.MaxOpen <= 0 || s.status == nil:
		return report.Healthy
	case h.InUse >= h.MaxOpen:
		return report.Critical
	case h.UsagePercent >= float64(s.status.Pool.ThresholdPercent):
		return report.Warning
	default:
		return report.Healthy
	}
}

// trafficLine is who waits and how many are served.
func (s *service) trafficLine(width int) string {
	h := s.snap.Health
	if h == nil {
		if s.heard {
			return faint.Render("since " + s.goneAt.Format("15:04:05"))
		}
		return ""
	}
	waiting := plain
	if h.Waiting > 0 {
		waiting = warn
	}
	text := waiting.Render(fmt.Sprintf("%d waiting", h.Waiting))
	if s.rates.known {
		text = spread(text, perSecond(s.rates.served), width)
	}
	return text
}

// perSecond prints a rate.
func perSecond(r float64) string {
	switch {
	case r >= 100:
		return report.Count(int64(r+0.5)) + "/s"
	case r >= 10:
		return fmt.Sprintf("%.0f/s", r)
	case r == 0:
		return "0/s"
	default:
		return fmt.Sprintf("%.1f/s", r)
	}
}

// spark is the connections in use over time in one line.
func (m *model) spark(s *service, width int) string {
	return area(s.inUse(m.span(s), width), s.mostOpen(), 1, s.usageStyle)[0]
}
