package live

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// serverPanel is the server's own view: a heading and so many lines.
func (m *model) serverPanel(s *service, width, lines int) []string {
	r := s.status.Server
	v := r.View
	note := ""
	if v != nil {
		note = fmt.Sprintf("%s, %s@%s", report.Version(v), v.Role, v.Database)
	}
	if v != nil && r.Error != "" {
		note = report.Seconds(r.AgeSeconds) + " old: " + r.Error
	}
	if f := s.status.Fleet; f != nil && lines <= 2 {
		note = strings.TrimPrefix(note+", fleet "+report.Fits(f), ", ")
	}
	out := []string{heading("Server", note, width)}
	switch {
	case v == nil && r.Error != "":
		out = append(out, warn.Render(" not to be asked: "+r.Error))
	case v == nil:
		out = append(out, faint.Render(" not asked yet"))
	case lines <= 2:
		out = append(out, serverLines(s, v, width)...)
	default:
		out = append(out, serverTall(s, v, width, lines)...)
	}
	return fill(out, lines+1)
}

// serverBar is how full the limit is that binds this role; without colour when the
// server could not be asked.
func serverBar(s *service, v *serverview.View, width int) string {
	style := good
	switch {
	case s.status.Server.Error != "": // no longer known to be so
		style = faint
	case v.Free == 0:
		style = bad
	case s.status.Server.OverThreshold:
		style = warn
	}
	n := min(max(int(v.UsagePercent+0.5), 0), 100)
	return bar([]segment{{n, "█", style}}, 100, max(width, 0))
}

func serverLines(s *service, v *serverview.View, width int) []string {
	text := fmt.Sprintf("  %s of %s, %s free, %d of %d sessions", report.Percent(v.UsagePercent), report.BoundBy(v), report.Count(v.Free), v.Sessions, v.MaxConnections)
	return []string{
		" " + serverBar(s, v, min(width/3, width-ansi.StringWidth(text)-1)) + text,
		" " + spread(report.Applications(v, 6), faint.Render(report.States(v))+" ", width-1),
	}
}

func serverTall(s *service, v *serverview.View, width, lines int) []string {
	share := " " + report.Percent(v.UsagePercent)
	out := []string{
		" " + serverBar(s, v, width-1-len(share)) + share,
		fmt.Sprintf(" of %s, %s; %d of %d sessions", report.BoundBy(v), room(v), v.Sessions, v.MaxConnections),
		" " + faint.Render(report.ServerLimits(v)),
		" " + faint.Render(report.States(v)),
	}
	if f := s.status.Fleet; f != nil && f.Fits != nil {
		out = append(out, fleetLine(f))
	}
	for _, a := range v.Applications {
		out = append(out, applicationLine(a, v, width))
	}
	if len(out) > lines {
		out = out[:lines]
	}
	return out
}

// fleetLine is whether all replicas of the service together fit, and this one's part.
func fleetLine(f *statusjson.FleetFigures) string {
	text := fmt.Sprintf(" fleet %s: %d of %d usable, %s", report.Fits(f), f.Need, f.Usable, report.Plural(f.Replicas, "replica", "replicas"))
	if f.Mode == "enforce" {
		text += fmt.Sprintf("; this has %d of %d", f.Tokens, f.Share)
	}
	if !*f.Fits {
		return warn.Render(text)
	}
	return text
}

func room(v *serverview.View) string {
	if v.Free == 0 {
		return bad.Render("none free")
	}
	return report.Count(v.Free) + " free"
}

// applicationLine is a bar of one application's sessions by state.
func applicationLine(a serverview.Application, v *serverview.View, width int) string {
	name := fit(report.AppName(a.Name), min(max(width/3, 10), 24))
	count := fmt.Sprintf(" %4d ", a.Sessions)
	rest := max(width-2-ansi.StringWidth(name)-len(count), 0)
	return " " + name + count + bar(applicationSegments(a), max(v.Usable, a.Sessions), rest)
}

func applicationSegments(a serverview.Application) []segment {
	return []segment{{a.Active, "█", good}, {a.IdleInTransaction, "▓", warn}, {a.Hidden, "▒", busy}, {a.Idle, "░", lipgloss.NewStyle()}}
}
