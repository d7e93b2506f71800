package live

import (
	"fmt"
	"math"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// details shows one service in so many lines: what is wrong, the charts, the
// server, the tables. What there is no room for is left out from the bottom.
func (m *model) details(s *service, room int) []string {
	var lines []string
	if len(m.services) > 1 {
		lines = append(lines, " "+m.identity(s))
	}
	lines = append(lines, m.problems(s, max(room/6, 1))...)
	switch {
	case s.status != nil:
		return append(lines, m.panels(s, room-len(lines))...)
	case s.health != nil:
		return append(lines, m.healthPanels(s, room-len(lines))...)
	default:
		return lines
	}
}

// problems is what is wrong, and what to know about the answer, in at most so
// many lines.
func (m *model) problems(s *service, most int) []string {
	var lines []string
	switch {
	case !s.heard:
		return []string{faint.Render(" asking " + s.given + " …")}
	case s.snap.Failure != nil:
		return m.trouble(s, most+2)
	}
	if d := s.snap.Health.Diagnosis; d != nil {
		lines = m.why(s, d.Sentence)
		most += len(lines)
	}
	for _, p := range s.verdict.Problems {
		if d := s.snap.Health.Diagnosis; d != nil && d.Sentence == p.Message {
			continue // said above
		}
		level := report.Warning
		if p.Severity == statusjson.SeverityCritical {
			level = report.Critical
		}
		text := p.Message
		if d := s.snap.Health.At.Sub(p.Since); !p.Since.IsZero() && d > 0 {
			text += " for " + report.Duration(d)
		}
		lines = append(lines, styleOf(level).Render(" "+sign(level)+" "+text))
	}
	if st := s.snap.Status; st != nil && !st.Access.OK && st.LastDialError != nil {
		lines = append(lines, warn.Render("   "+report.DialFailure(*st.LastDialError)))
	}
	for _, n := range s.snap.Notes {
		lines = append(lines, faint.Render(" i "+n))
	}
	if more := len(lines) - most; more > 0 {
		lines = append(lines[:most-1], warn.Render(fmt.Sprintf(" ▲ and %d more", more+1)))
	}
	return lines
}

// why is the diagnosis: all of it, as it ends in what to do.
func (m *model) why(s *service, sentence string) []string {
	level := max(s.verdict.Level, report.Warning)
	lines := strings.Split(ansi.Wrap(sentence, m.width-4, ""), "\n")
	for i, l := range lines {
		mark := " "
		if i == 0 {
			mark = sign(level)
		}
		lines[i] = styleOf(level).Bold(true).Render(" " + mark + " " + l)
	}
	return lines
}

// trouble is why there is no answer.
func (m *model) trouble(s *service, most int) []string {
	text := s.snap.Failure.Error()
	if s.health != nil {
		text += "; what follows was said before " + s.goneAt.Format("15:04:05")
	}
	lines := strings.Split(ansi.Wrap(text, m.width-4, ""), "\n")
	for i, l := range lines {
		mark := " "
		if i == 0 {
			mark = sign(report.Unreachable)
		}
		lines[i] = bad.Render(" " + mark + " " + l)
	}
	return lines[:min(len(lines), most)]
}

// healthPanels is all that /health tells.
func (m *model) healthPanels(s *service, room int) []string {
	h := s.health
	lines := []string{
		heading("Connections", "last "+report.Duration(m.span(s)), m.width),
		" " + s.poolBar(m.width/2) + fmt.Sprintf("  %d of %d in use, %d waiting", h.InUse, h.MaxOpen, h.Waiting),
	}
	return append(lines, indent(area(s.inUse(m.span(s), m.width-2), s.mostOpen(), max(min(room-4, 8), 1), s.usageStyle))...)
}

// panels shows everything a status tells.
func (m *model) panels(s *service, room int) []string {
	const figures = 4 // heading, bar and two lines
	top, server := figures, 3
	if m.width >= wide {
		server = 0 // it stands beside the charts
	}
	rest := room - top - server
	// The charts get a quarter, and what the tables have no use for.
	charts := min(max(rest/4, rest-m.tableNeed(s), 0), 14)
	rest -= charts
	lines := m.topPanels(s, charts)
	if server > 0 {
		lines = append(lines, m.serverPanel(s, m.width, server-1)...)
	}
	return append(lines, m.tables(s, rest)...)
}

func (m *model) topPanels(s *service, charts int) []string {
	columns := 2
	if m.width >= wide {
		columns = 3
	}
	widths := split(m.width, columns)
	blocks := [][]string{m.connections(s, widths[0], charts), m.callers(s, widths[1], charts)}
	if columns == 3 {
		blocks = append(blocks, m.serverPanel(s, widths[2], charts+3))
	}
	return beside(blocks, widths)
}

func (m *model) connections(s *service, width, charts int) []string {
	p := s.status.Pool
	share := " " + report.Percent(p.UsagePercent)
	inner := max(width-1, 1)
	lines := []string{
		heading("Connections", "last "+report.Duration(m.span(s)), width),
		" " + s.poolBar(inner-len(share)) + share,
		" " + styleOf(s.usageLevel()).Bold(true).Render(fmt.Sprintf("%d", p.CheckedOut)) + fmt.Sprintf(" of %d in use", p.MaxOpen) + limited(p) +
			some(", ", many(p.CheckedIn, "idle"), many(p.Dialing, "dialing"), many(p.Closing, "closing")),
		" " + faint.Render(fmt.Sprintf("size %d+%d, peak %d, warns at %d %%", p.Size, p.MaxOverflow, p.PeakInUse, p.ThresholdPercent)),
	}
	return append(lines, indent(scaled(s.inUse(m.span(s), inner-5), s.mostOpen(), charts, s.usageStyle, func(f float64) string { return fmt.Sprintf("%.0f", f) }))...)
}

func limited(p statusjson.PoolFigures) string {
	if p.Limit >= p.MaxOpen {
		return ""
	}
	return warn.Render(fmt.Sprintf(" (limit %d)", p.Limit))
}

// some joins parts that are there, after a separator of their own.
func some(sep string, parts ...string) string {
	text := ""
	for _, p := range parts {
		if p != "" {
			text += sep + p
		}
	}
	return text
}

func many(n int, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (m *model) callers(s *service, width, charts int) []string {
	q := s.status.Queue
	waiting := good
	if q.Waiting > 0 {
		waiting = warn
	}
	inner := max(width-1, 1)
	lines := []string{
		heading("Callers", "", width),
		" " + waiting.Bold(true).Render(fmt.Sprintf("%d", q.Waiting)) + " waiting" + s.traffic(),
		" " + percentiles("wait", report.RecentWait(s.status)),
		" " + percentiles("hold", report.RecentHold(s.status)),
	}
	values := s.past.columns(func(m moment) float64 { return m.waiting }, m.span(s), inner-5)
	style := func(v float64) lipgloss.Style {
		if v > 0 {
			return warn
		}
		return faint
	}
	return append(lines, indent(scaled(values, nice(max(highest(values), 4)), charts, style, func(f float64) string { return report.Count(int64(f)) }))...)
}

// traffic is what happens to callers, per second.
func (s *service) traffic() string {
	if !s.rates.known {
		return ""
	}
	text := ", " + perSecond(s.rates.served) + " served"
	if s.rates.timedOut > 0 {
		text += ", " + bad.Render(perSecond(s.rates.timedOut)+" timed out")
	}
	if s.rates.shed > 0 {
		text += ", " + bad.Render(perSecond(s.rates.shed)+" refused")
	}
	return text
}

func percentiles(what string, d statusjson.Distribution) string {
	if d.Count == 0 {
		return faint.Render(what + " -")
	}
	one := func(name string, s float64) string {
		return " " + faint.Render(name) + " " + fmt.Sprintf("%-5s", report.Seconds(s))
	}
	return faint.Render(what) + one("p50", d.P50Seconds) + one("p95", d.P95Seconds) + one("p99", d.P99Seconds)
}

// inUse is the connections in use over time.
func (s *service) inUse(window time.Duration, width int) []float64 {
	return s.past.columns(func(m moment) float64 { return m.inUse }, window, max(width, 0))
}

// mostOpen is the top of the scale for connections.
func (s *service) mostOpen() float64 {
	switch {
	case s.status != nil:
		return float64(max(s.status.Pool.MaxOpen, 1))
	case s.health != nil:
		return float64(max(s.health.MaxOpen, 1))
	default:
		return 1
	}
}

// usageStyle colours a number of connections in use.
func (s *service) usageStyle(v float64) lipgloss.Style {
	threshold := 101.0
	if s.status != nil {
		threshold = float64(s.status.Pool.ThresholdPercent)
	}
	switch share := 100 * v / s.mostOpen(); {
	case math.IsNaN(v) || v == 0:
		return faint
	case share >= 100:
		return bad
	case share >= threshold:
		return warn
	default:
		return good
	}
}

// scaled is a chart with its scale to the left: the top at the top, 0 at the bottom.
func scaled(values []float64, most float64, rows int, style func(float64) lipgloss.Style, label func(float64) string) []string {
	lines := area(values, most, rows, style)
	for i, l := range lines {
		text := ""
		switch {
		case i == 0:
			text = label(most)
		case i == len(lines)-1:
			text = "0"
		}
		lines[i] = faint.Render(fmt.Sprintf("%4s ", ansi.Truncate(text, 4, ""))) + l
	}
	return lines
}

// indent moves lines one column in.
func indent(lines []string) []string {
	for i, l := range lines {
		lines[i] = " " + l
	}
	return lines
}
