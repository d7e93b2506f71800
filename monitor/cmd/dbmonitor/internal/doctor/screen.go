package doctor

import (
	"fmt"
	"io"
	"strings"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/serverview"
)

// What is listed of each kind, so that all of it stays on one screen.
const (
	mostApplications = 8
	mostListed       = 5
)

// Write prints the diagnosis for people.
func (d Diagnosis) Write(out io.Writer, text report.Text) error {
	head := fmt.Sprintf("%s  %s, %s", d.Level.Word(), d.Case.Target, report.Version(d.Case.View))
	return text.WriteRows(out, d.Level, head, d.rows())
}

func (d Diagnosis) rows() []report.Row {
	var s sheet
	for _, f := range d.Findings {
		s.add(f.Level, label(f.Level), f.Text)
	}
	d.allowed(&s)
	d.users(&s)
	d.arithmetic(&s)
	d.sizes(&s)
	d.remedies(&s)
	d.transactions(&s)
	d.statements(&s)
	d.waits(&s)
	return s.rows
}

func label(l report.Level) string {
	if l == report.Healthy {
		return "note"
	}
	return l.String()
}

// sheet collects rows.
type sheet struct{ rows []report.Row }

func (s *sheet) add(l report.Level, label, text string) {
	s.rows = append(s.rows, report.Row{Label: label, Text: text, Level: l})
}

func (s *sheet) first(i int, label string) string {
	if i == 0 {
		return label
	}
	return ""
}

func (s *sheet) list(label string, lines []string) {
	for i, l := range lines {
		s.add(report.Healthy, s.first(i, label), l)
	}
}

// allowed is what the role may have and how much of it is left.
func (d Diagnosis) allowed(s *sheet) {
	v := d.Case.View
	s.add(report.Healthy, "Allowed", report.ServerLimits(v))
	s.add(report.Healthy, "", fmt.Sprintf("%s %s of %s; %d free for role %s; %d of %d sessions in all",
		report.Bar(v.UsagePercent, 20), report.Percent(v.UsagePercent), report.BoundBy(v), v.Free, v.Role, v.Sessions, v.MaxConnections))
}

// users are the sessions by application and state.
func (d Diagnosis) users(s *sheet) {
	v := d.Case.View
	shown := v.Applications[:min(len(v.Applications), mostApplications)]
	rest := v.OtherApps
	for _, a := range v.Applications[len(shown):] {
		rest += a.Sessions
	}
	s.list("Used by", report.Table(shown, func(a serverview.Application) []string {
		return []string{report.AppName(a.Name) + d.mark(a.Name), fmt.Sprintf("%4d", a.Sessions), states(a)}
	}))
	if rest > 0 {
		s.add(report.Healthy, "", fmt.Sprintf("others %d", rest))
	}
}

func (d Diagnosis) mark(application string) string {
	switch {
	case application == d.Case.Application && application != "":
		return " (the fleet)"
	case application == ownName && d.Case.Self > 0:
		return " (this)"
	default:
		return ""
	}
}

func states(a serverview.Application) string {
	var parts []string
	for _, p := range []struct {
		n    int
		name string
	}{{a.Active, "active"}, {a.Idle, "idle"}, {a.IdleInTransaction, "idle in transaction"}, {a.Hidden, "hidden"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.name))
		}
	}
	return strings.Join(parts, ", ")
}

// arithmetic is whether the fleet fits, step by step.
func (d Diagnosis) arithmetic(s *sheet) {
	c := d.Case
	s.add(report.Healthy, "Fleet", fmt.Sprintf("application %q (%s); %s (%s); pool size %s", c.Application, c.Chosen,
		report.Plural(c.Ask.Replicas, "replica", "replicas"), c.Counted, c.Sized))
	if !d.Proof.Known() {
		return
	}
	for _, step := range d.Proof.Steps() {
		level := report.Healthy
		if strings.HasPrefix(step, "does not fit") {
			level = report.Warning
		}
		s.add(level, "", step)
	}
}

// sizes are what the pools could be set to, whether or not they fit now.
func (d Diagnosis) sizes(s *sheet) {
	p := d.Proof
	if !p.Known() {
		return
	}
	each := p.Usable() / max(1, p.Replicas())
	if each < 1 {
		s.add(report.Healthy, "Sizes", fmt.Sprintf("%d usable connections are fewer than %d replicas", p.Usable(), p.Replicas()))
		return
	}
	size := (each + 1) / 2
	s.add(report.Healthy, "Sizes", fmt.Sprintf("up to %d per replica: DB_POOL_SIZE=%d DB_MAX_OVERFLOW=%d uses %d of %d",
		each, size, each-size, p.Replicas()*each, p.Usable()))
	if per := p.Ask.PoolSize + p.Ask.MaxOverflow; per > 0 && !p.Ask.Enforced {
		s.add(report.Healthy, "", fmt.Sprintf("with %d + %d each: up to %s at once, a rolling deploy's included", p.Ask.PoolSize, p.Ask.MaxOverflow,
			report.Plural(p.Usable()/per, "replica", "replicas")))
	}
}

// remedies are listed by what they are for.
func (d Diagnosis) remedies(s *sheet) {
	for _, group := range []struct {
		kind  RemedyKind
		label string
	}{{SetVariables, "Would fit"}, {RunSQL, "or all SQL"}, {EndSession, "At once"}, {BoundRole, "For good"}} {
		var lines []string
		for _, r := range d.Remedies {
			if r.Kind == group.kind {
				lines = append(lines, r.Text)
			}
		}
		s.list(group.label, lines)
	}
}

// transactions are those open and idle, longest first.
func (d Diagnosis) transactions(s *sheet) {
	found := d.queries(isIdle)
	s.list("Idle in tx", report.Table(found[:min(len(found), mostListed)], queryColumns))
}

// statements are those that run, longest first.
func (d Diagnosis) statements(s *sheet) {
	found := d.queries(func(q serverview.Query) bool { return !isIdle(q) })
	s.list("Running", report.Table(found[:min(len(found), mostListed)], queryColumns))
}

func queryColumns(q serverview.Query) []string {
	waits := q.WaitingFor
	if len(q.BlockedBy) > 0 {
		waits += fmt.Sprintf(" held by %d", q.BlockedBy)
	}
	if isIdle(q) {
		waits = "" // they all wait for their client
	}
	return []string{fmt.Sprintf("%6s", report.Seconds(q.QuerySeconds)), report.PID(q.PID), report.AppName(q.ApplicationName), q.Role + "@" + q.Database, waits, q.Text}
}

// waits are the sessions that wait for locks, and who is in their way.
func (d Diagnosis) waits(s *sheet) {
	waits := d.Case.View.LockWaits
	s.list("Locks", report.Table(waits[:min(len(waits), mostListed)], func(w serverview.LockWait) []string {
		what := strings.TrimSpace(w.Mode + " " + w.Kind)
		if w.Relation != "" {
			what += " " + w.Relation
		}
		var by []string
		for _, h := range w.HeldBy {
			by = append(by, holder(h))
		}
		return []string{fmt.Sprintf("%6s", report.Seconds(w.Seconds)), report.PID(w.PID), report.AppName(w.Application), what, "held by " + strings.Join(by, "; ")}
	}))
	if more := len(waits) - mostListed; more > 0 {
		s.add(report.Healthy, "", fmt.Sprintf("and %d more", more))
	}
}
