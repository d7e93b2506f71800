package live

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// table is one of the lists in the lower part.
type table struct {
	name string
	// lines are a header and the rows, each for so many columns.
	lines func(s *service, width int) (header string, rows []string)
}

var tables = [...]table{
	{"Holders", holderLines},
	{"Queries", queryLines},
	{"Applications", applicationLines},
	{"Tasks", taskLines},
	{"Routes", routeLines},
	{"Statements", statementLines},
	{"Events", eventLines},
}

// tables shows the chosen list, and below it the events; a wide screen shows
// two lists side by side.
func (m *model) tables(s *service, room int) []string {
	if room < 2 {
		return nil
	}
	below := room * 2 / 5
	if below < 3 || tables[m.lower].name == "Events" {
		below = 0
	}
	first := m.list(s, m.lower, m.columnWidth(), room-below, &m.scroll)
	if m.width >= wide {
		noScroll := 0
		second := m.list(s, (m.lower+1)%len(tables), m.columnWidth(), room-below, &noScroll)
		first = beside([][]string{first, second}, split(m.width, 2))
	}
	if below == 0 {
		return first
	}
	noScroll := 0
	return append(first, m.list(s, len(tables)-1, m.width, below, &noScroll)...)
}

// tableNeed is how many lines show every row of the lists there are.
func (m *model) tableNeed(s *service) int {
	need := func(which int) int {
		_, rows := tables[which].lines(s, m.columnWidth())
		return max(len(rows), 1) + 2
	}
	first := need(m.lower)
	if m.width >= wide {
		first = max(first, need((m.lower+1)%len(tables)))
	}
	return max(first+need(len(tables)-1)+1, first*5/3+2)
}

func (m *model) columnWidth() int {
	if m.width >= wide {
		return split(m.width, 2)[0]
	}
	return m.width
}

// list is one table in exactly so many lines, from scroll on, which is kept
// within the table.
func (m *model) list(s *service, which, width, room int, scroll *int) []string {
	header, rows := tables[which].lines(s, width)
	shown := room - 1
	if header != "" {
		shown--
	}
	*scroll = min(max(*scroll, 0), max(len(rows)-shown, 0))
	note := fmt.Sprintf("%d", len(rows))
	if hidden := len(rows) - shown; hidden > 0 && shown > 0 {
		note = fmt.Sprintf("%d to %d of %d", *scroll+1, *scroll+shown, len(rows))
	}
	lines := []string{heading(tables[which].name, note, width)}
	if header != "" {
		lines = append(lines, faint.Render(header))
	}
	if len(rows) == 0 {
		rows = []string{faint.Render(" none")}
	}
	return fill(append(lines, rows[*scroll:]...), room)
}

// row lays out cells in columns of the given widths; a negative width is to
// the right.
func row(widths []int, cells ...string) string {
	var b strings.Builder
	for i, c := range cells {
		w := widths[i]
		switch {
		case w == 0:
			continue
		case w < 0:
			b.WriteString(strings.Repeat(" ", max(-w-len([]rune(c)), 0)) + fit(c, min(-w, len([]rune(c)))))
		default:
			b.WriteString(fit(c, w))
		}
		b.WriteString("  ")
	}
	return strings.TrimRight(b.String(), " ")
}

func holderLines(s *service, width int) (string, []string) {
	lane := 0
	if width >= 100 {
		lane = 10
	}
	rest := max(width-1-7-2-19-2-8-2, 0)
	if lane > 0 {
		rest -= lane + 2
	}
	name := rest * 2 / 5
	widths := []int{-7, 19, rest - name - 2, name, lane, 8}
	var rows []string
	for _, h := range s.status.Holders {
		rows = append(rows, holderStyle(h).Render(" "+row(widths, report.Seconds(h.HeldSeconds), h.Activity, h.Caller, h.Name, h.Lane, pid(h.PID))))
	}
	return " " + row(widths, "HELD", "DOING", "CALLER", "NAME", "LANE", "PID"), rows
}

func holderStyle(h statusjson.Holder) lipgloss.Style {
	switch {
	case h.Leaking:
		return bad
	case h.Activity == "idle in transaction" && h.HeldSeconds > 1:
		return warn
	default:
		return plain
	}
}

func pid(n uint32) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func queryLines(s *service, width int) (string, []string) {
	q := s.status.Queries
	if q.Error != "" {
		return "", []string{warn.Render(" not to be read: " + q.Error)}
	}
	rest := max(width-1-7-2-19-2-8-2, 0)
	app := min(rest/3, 20)
	widths := []int{-7, 19, 8, app, rest - app - 2}
	var rows []string
	for _, one := range q.Longest {
		rows = append(rows, queryStyle(one).Render(" "+row(widths, report.Seconds(one.QuerySeconds), one.State, pid(one.PID), report.AppName(one.ApplicationName), what(one))))
	}
	return " " + row(widths, "FOR", "STATE", "PID", "APPLICATION", "WAITING FOR, TEXT"), rows
}

// what is what a statement waits for, and its text where the service shows it.
func what(q serverview.Query) string {
	waits := q.WaitingFor
	if len(q.BlockedBy) > 0 {
		waits += fmt.Sprintf(" held by %d", q.BlockedBy)
	}
	return strings.TrimSpace(waits + "  " + q.Text)
}

func queryStyle(q serverview.Query) lipgloss.Style {
	switch {
	case len(q.BlockedBy) > 0:
		return bad
	case strings.HasPrefix(q.State, "idle in transaction") && q.QuerySeconds > 10:
		return warn
	default:
		return plain
	}
}

func applicationLines(s *service, width int) (string, []string) {
	v := s.status.Server.View
	if v == nil {
		return "", nil
	}
	name := max(width-1-4*10-2*4-12, 8)
	widths := []int{name, -8, -8, -8, -8, -8}
	var rows []string
	for _, a := range v.Applications {
		style := plain
		if a.IdleInTransaction > 0 {
			style = warn
		}
		rows = append(rows, style.Render(" "+row(widths, report.AppName(a.Name), num(a.Sessions), num(a.Active), num(a.Idle), num(a.IdleInTransaction), num(a.Hidden))))
	}
	if v.OtherApps > 0 {
		rows = append(rows, " "+row(widths, "(others)", num(v.OtherApps), "", "", "", ""))
	}
	return " " + row(widths, "APPLICATION", "SESSIONS", "ACTIVE", "IDLE", "IDLE TX", "HIDDEN"), rows
}

// taskLines are the background tasks that run, with or without a connection.
func taskLines(s *service, width int) (string, []string) {
	t := s.status.Tasks
	widths := []int{-7, max(width-1-7-2, 8)}
	var rows []string
	for _, r := range t.Running {
		rows = append(rows, " "+row(widths, report.Seconds(r.RunningSeconds), r.Name))
	}
	if more := t.RunningCount - len(t.Running); more > 0 {
		rows = append(rows, " "+row(widths, "", fmt.Sprintf("and %d more", more)))
	}
	counts := fmt.Sprintf("TASK (%s started, %s failed, %s refused)", report.Count(t.StartedCount), report.Count(t.FailedCount), report.Count(t.RefusedCount))
	return " " + row(widths, "RUNNING", counts), rows
}

func routeLines(s *service, width int) (string, []string) {
	return namedLines("ROUTE OR TASK", s.status.Routes, width)
}

func statementLines(s *service, width int) (string, []string) {
	return namedLines("STATEMENT", s.status.Statements, width)
}

// namedLines are figures by name: the connections that each has and wants, how long
// it held them of late, and how often it was turned away.
func namedLines(what string, all []statusjson.RouteFigures, width int) (string, []string) {
	widths := []int{-6, -7, -8, -7, -9, -7, max(width-1-6-7-8-7-9-7-2*6, 8)}
	var rows []string
	for _, r := range all {
		style := plain
		if r.Waiting > 0 {
			style = warn
		}
		rows = append(rows, style.Render(" "+row(widths, num(r.InUse), num(r.Waiting), report.Held(r), report.Count(r.AcquiredCount), report.Count(r.TimedOutCount), report.Count(r.ShedCount), report.Named(r.Name))))
	}
	return " " + row(widths, "IN USE", "WAITING", "HELD P95", "SERVED", "TIMED OUT", "REFUSED", what), rows
}

func num(n int) string { return report.Count(n) }

func eventLines(s *service, _ int) (string, []string) {
	var rows []string
	for _, e := range s.status.Events {
		level, style := report.Healthy, faint
		switch e.Severity {
		case statusjson.SeverityCritical:
			level, style = report.Critical, bad
		case statusjson.SeverityWarning:
			level, style = report.Warning, warn
		}
		rows = append(rows, " "+faint.Render(e.At.In(s.snap.At.Location()).Format("15:04:05"))+" "+style.Render(sign(level)+" "+e.Message))
	}
	return "", rows
}
