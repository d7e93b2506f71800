package live

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
)

// Below these the screen holds one line per service and nothing else.
const (
	leastWidth  = 40
	leastHeight = 10
)

// wide is the width from which more stands side by side.
const wide = 132

// View draws the screen.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	return v
}

// screen is exactly height lines of exactly width columns.
func (m *model) screen() []string {
	var lines []string
	if m.width < leastWidth || m.height < leastHeight {
		lines = m.tiny()
	} else {
		lines = append(lines, m.header())
		if len(m.services) > 1 {
			lines = append(lines, m.cards()...)
		}
		room := m.height - len(lines) - 1
		if m.help {
			lines = append(lines, fill(m.helpLines(), room)...)
		} else {
			lines = append(lines, fill(m.details(m.current(), room), room)...)
		}
		lines = append(lines, m.footer())
	}
	for i, l := range lines {
		lines[i] = fit(l, m.width)
	}
	return fill(lines, m.height)
}

// fill cuts or fills to exactly n lines.
func fill(lines []string, n int) []string {
	n = max(n, 0)
	for len(lines) < n {
		lines = append(lines, "")
	}
	return lines[:n]
}

// tiny is for windows that hold hardly anything.
func (m *model) tiny() []string {
	var lines []string
	for _, s := range m.services {
		lines = append(lines, s.badge()+" "+s.name()+" "+s.brief())
	}
	return append(lines, faint.Render("q quit"))
}

// badge is the level as a sign and a word.
func (s *service) badge() string {
	if !s.heard {
		return faint.Render("… waiting")
	}
	l := s.verdict.Level
	return styleOf(l).Bold(true).Render(sign(l) + " " + l.Word())
}

// brief is the least one wants to know.
func (s *service) brief() string {
	if h := s.snap.Health; h != nil {
		return fmt.Sprintf("%d/%d in use, %d waiting", h.InUse, h.MaxOpen, h.Waiting)
	}
	return ""
}

func (m *model) header() string {
	left := strong.Render(" dbmonitor") + "  "
	if len(m.services) == 1 {
		left += m.identity(m.current())
	} else {
		left += m.census()
	}
	return spread(left, m.clock()+" ", m.width)
}

// identity is who is shown and how it is.
func (m *model) identity(s *service) string {
	text := strong.Render(s.name()) + "  " + s.badge()
	if d := s.verdict.For; d > 0 {
		text += " for " + report.Duration(d)
	}
	if s.name() != s.given {
		text += "  " + faint.Render(s.given)
	}
	return text
}

// census counts the services by level, worst first.
func (m *model) census() string {
	var count [4]int
	for _, s := range m.services {
		if s.heard {
			count[s.verdict.Level]++
		}
	}
	text := fmt.Sprintf("%d services", len(m.services))
	for l := report.Unreachable; l >= report.Healthy; l-- {
		if n := count[l]; n > 0 {
			text += "  " + styleOf(l).Render(fmt.Sprintf("%s %d %s", sign(l), n, l))
		}
	}
	return text
}

func (m *model) clock() string {
	text := "every " + report.Duration(m.interval)
	if m.paused {
		text = warn.Render("paused")
	}
	if at := m.current().snap.At; !at.IsZero() {
		text += "  " + at.Format("15:04:05")
	}
	return text
}

// footer names the keys, as many as there is room for.
func (m *model) footer() string {
	text := ""
	for _, b := range bindings {
		if b.short == "server" && len(m.services) == 1 {
			continue
		}
		short := b.short
		if b.short == "window" {
			short += " " + report.Duration(windows[m.window])
		}
		next := text + " " + strong.Render(b.keys) + " " + faint.Render(short) + " "
		if ansi.StringWidth(next) > m.width {
			break
		}
		text = next
	}
	return text
}

func (m *model) helpLines() []string {
	lines := []string{heading("Keys", "", m.width), ""}
	for _, b := range bindings {
		lines = append(lines, "   "+fit(strong.Render(b.keys), 7)+b.long)
	}
	lines = append(lines, "", heading("Signs", "", m.width), "",
		"   "+styleOf(report.Healthy).Render("● healthy")+"  "+styleOf(report.Warning).Render("▲ warning")+"  "+
			styleOf(report.Critical).Render("✖ critical")+"  "+styleOf(report.Unreachable).Render("○ unreachable"),
		"   "+good.Render("█")+" in use  "+busy.Render("▓")+" dialing  "+going.Render("▒")+" closing  "+faint.Render("░")+" idle  "+faint.Render("·")+" not open",
		"", faint.Render("   any key goes back"))
	return lines
}
