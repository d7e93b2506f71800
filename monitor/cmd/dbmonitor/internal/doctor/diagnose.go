package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbpool-go/dbpool/internal/diagnosis"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// Finding is one thing that is wrong, or worth knowing.
type Finding struct {
	Level report.Level
	Code  string
	Text  string
}

// Diagnosis is a judged Case.
type Diagnosis struct {
	Case     Case
	Level    report.Level
	Findings []Finding // worst first
	Proof    fleet.Proof
	Remedies []Remedy
}

// Remedy is something to do.
type Remedy struct {
	Kind RemedyKind `json:"kind"`
	Text string     `json:"text"` // a variable or a statement, and what comes of it
}

// RemedyKind says what a remedy is for.
type RemedyKind string

// The kinds of remedies.
const (
	SetVariables RemedyKind = "variables" // each of them makes the fleet fit
	RunSQL       RemedyKind = "sql"       // all of them together make the fleet fit
	EndSession   RemedyKind = "session"   // ends or cancels what is in the way now
	BoundRole    RemedyKind = "role"      // keeps it from coming back
)

// Diagnose judges a case. It must have a View.
func Diagnose(c Case) Diagnosis {
	d := Diagnosis{Case: c, Proof: c.proof()}
	d.locks()
	d.service()
	d.slots()
	d.fleet()
	d.idle()
	d.slow()
	d.notes()
	slices.SortStableFunc(d.Findings, func(a, b Finding) int { return cmp.Compare(b.Level, a.Level) })
	for _, f := range d.Findings {
		d.Level = max(d.Level, f.Level)
	}
	return d
}

func (d *Diagnosis) find(l report.Level, code, format string, args ...any) {
	d.Findings = append(d.Findings, Finding{l, code, fmt.Sprintf(format, args...)})
}

// advise adds a remedy, unless the same statement is there already.
func (d *Diagnosis) advise(kind RemedyKind, text string) {
	statement, _, _ := strings.Cut(text, "  -- ")
	for _, r := range d.Remedies {
		if strings.HasPrefix(r.Text, statement) {
			return
		}
	}
	d.Remedies = append(d.Remedies, Remedy{kind, text})
}

// service passes on what a running service says of itself: first why its callers
// get no connection.
func (d *Diagnosis) service() {
	if w := d.Case.Wrong; w != nil {
		d.find(report.Critical, "diagnosis", "%s", w.Sentence)
	}
	for _, p := range d.Case.Problems {
		if p.Code == statusjson.ProblemFleetMisfit && !d.Proof.Fits() || d.Case.Wrong != nil && p.Message == d.Case.Wrong.Sentence {
			continue // said already
		}
		level := report.Warning
		if p.Severity == statusjson.SeverityCritical {
			level = report.Critical
		}
		d.find(level, "service_"+string(p.Code), "the service says: %s", p.Message)
	}
}

// slots judges how full the limit is that binds this role; when a superuser
// looks, also whether anybody else still gets in.
func (d *Diagnosis) slots() {
	v, self := d.Case.View, d.Case.Self
	ordinary := d.Proof.Limits
	ordinary.Superuser = false
	switch left := ordinary.Server() - (v.Sessions - self); {
	case v.Free+self == 0:
		d.find(report.Critical, "server_full", "no slot is left for role %s: %s of %s", v.Role, report.Percent(v.UsagePercent), report.BoundBy(v))
	case v.Superuser && left <= 0:
		d.find(report.Critical, "server_full", "no slot is left for roles that are not superusers: %d sessions of %d", v.Sessions-self, ordinary.Server())
	case d.Case.Thresholds.Usage > 0 && v.UsagePercent >= float64(d.Case.Thresholds.Usage):
		d.find(report.Warning, "server_usage_high", "the server is nearly full for role %s: %s of %s, %d free", v.Role, report.Percent(v.UsagePercent), report.BoundBy(v), v.Free)
	}
}

// fleet judges whether the replicas fit: those that run now, and with those
// that a rolling deploy adds.
func (d *Diagnosis) fleet() {
	p := d.Proof
	if !p.Known() {
		d.find(report.Healthy, "pooler_unknown", "whether the fleet fits is not known: a pooler stands between, and it does not say how many clients it lets in (max_client_conn); set DB_FLEET_BUDGET or --budget to this service's part of them")
		return
	}
	if lost := p.Squeezed(); lost > 0 && p.Ask.Enforced {
		d.find(report.Warning, "squeezed", "others have taken %d of the connections that DB_FLEET_BUDGET promises to this service", lost)
		if bound := p.Bound(); bound != "" {
			d.advise(RunSQL, bound)
		}
	}
	if p.Fits() {
		return
	}
	calm := p
	calm.Ask.Surge = 0
	switch {
	case p.Need() <= p.Usable():
		d.find(report.Warning, "overclaimed", "the budgets of all services add up to more than the server has")
	case calm.Need() > calm.Usable():
		d.find(report.Critical, "fleet_too_large", "the fleet does not fit: it may ask for %d connections, and %d are usable", calm.Need(), calm.Usable())
	default:
		d.find(report.Warning, "deploy_too_large", "the fleet does not fit during a rolling deploy: it may ask for %d connections, and %d are usable", p.Need(), p.Usable())
	}
	for _, r := range p.Remedies() {
		text, kind := strings.TrimPrefix(r, "remedy: "), SetVariables
		if strings.HasPrefix(text, "ALTER ") {
			kind, text = RunSQL, commented(text)
		}
		d.advise(kind, text)
	}
}

// commented makes SQL and words after it SQL alone: the words a comment. What it
// changes is not this role's to change. Words are looked for at the end only: a
// name in the statement may hold anything.
func commented(text string) string {
	statement, words := text, ""
	if i := strings.LastIndex(statement, "; and DB_FLEET_BUDGET="); i >= 0 {
		statement, words = statement[:i], ", "+strings.TrimPrefix(statement[i:], "; ")
	}
	if cut, ok := strings.CutSuffix(statement, "; "+restart); ok {
		statement, words = cut, ", "+restart+words
	}
	return strings.TrimSuffix(statement, ";") + ";  -- as a superuser" + words
}

// restart is what a setting of the server needs besides SQL.
const restart = "and a restart, or PgBouncer in between"

// idle are transactions that do nothing, which is what leaks look like from here.
func (d *Diagnosis) idle() {
	found := d.queries(func(q serverview.Query) bool {
		return isIdle(q) && q.QuerySeconds >= d.Case.Thresholds.Idle.Seconds()
	})
	if len(found) == 0 {
		return
	}
	d.find(report.Warning, "idle_in_transaction", "%s done nothing for more than %s in an open transaction, the longest for %s (%s)",
		have(len(found), "session has", "sessions have"), report.Duration(d.Case.Thresholds.Idle), report.Seconds(found[0].QuerySeconds), who(found[0].PID, found[0].ApplicationName))
	d.advise(EndSession, fmt.Sprintf("SELECT pg_terminate_backend(%d);  -- ends that transaction; its work is rolled back%s", found[0].PID, d.as(found[0].Role)))
	d.advise(BoundRole, fmt.Sprintf("ALTER ROLE %s SET idle_in_transaction_session_timeout = '%dms';  -- for new sessions", quoteName(found[0].Role), d.Case.Thresholds.Idle.Milliseconds()))
}

// waitsForLock reports whether a statement is the victim of another session.
func waitsForLock(q serverview.Query) bool {
	return len(q.BlockedBy) > 0 || strings.HasPrefix(q.WaitingFor, "Lock:")
}

func isIdle(q serverview.Query) bool { return strings.HasPrefix(q.State, "idle in transaction") }

// slow are statements that run for longer than statement_timeout would let them.
func (d *Diagnosis) slow() {
	found := d.queries(func(q serverview.Query) bool {
		return !isIdle(q) && !waitsForLock(q) && q.QuerySeconds >= d.Case.Thresholds.Slow.Seconds()
	})
	if len(found) == 0 {
		return
	}
	d.find(report.Warning, "slow_queries", "%s been running for more than %s, the longest for %s (%s)",
		have(len(found), "statement has", "statements have"), report.Duration(d.Case.Thresholds.Slow), report.Seconds(found[0].QuerySeconds), who(found[0].PID, found[0].ApplicationName))
	d.advise(EndSession, fmt.Sprintf("SELECT pg_cancel_backend(%d);  -- cancels that statement%s", found[0].PID, d.as(found[0].Role)))
}

// queries are those that satisfy ok, longest first.
func (d *Diagnosis) queries(ok func(serverview.Query) bool) []serverview.Query {
	var found []serverview.Query
	for _, q := range d.Case.Queries {
		if ok(q) {
			found = append(found, q)
		}
	}
	slices.SortStableFunc(found, func(a, b serverview.Query) int { return cmp.Compare(b.QuerySeconds, a.QuerySeconds) })
	return found
}

// locks are sessions that wait for others, and who is at the end of the chain.
// Ending anybody else in it helps nobody, so whoever waits is not advised against.
func (d *Diagnosis) locks() {
	waits := d.longWaits()
	blockers := d.Case.View.Blockers()
	if len(waits) == 0 || len(blockers) == 0 {
		return
	}
	text := fmt.Sprintf("%s for a lock, the longest for %s", have(len(waits), "session waits", "sessions wait"), report.Seconds(waits[0].Seconds))
	if w := d.Case.Wrong; w == nil || w.Verdict != string(diagnosis.Lock) {
		seen := d.Case.observed()
		text = diagnosis.Blocked(seen.At, seen, len(waits), len(waits)).Sentence
	}
	d.find(report.Warning, "lock_waits", "%s", text)
	for _, b := range blockers {
		if b.PID == 0 {
			d.advise(RunSQL, "SELECT gid, owner, prepared FROM pg_prepared_xacts ORDER BY prepared;  -- one of these prepared transactions holds a lock")
			continue
		}
		d.advise(EndSession, fmt.Sprintf("SELECT pg_terminate_backend(%d);  -- ends the session that is in the way of %s; its work is rolled back%s",
			b.PID, report.Plural(len(b.Blocks), "other", "others"), d.as(b.Role)))
	}
}

// as says who may run a remedy, where this role may not.
func (d *Diagnosis) as(role string) string {
	v := d.Case.View
	if v.Superuser || role == "" || role == v.Role {
		return ""
	}
	return "; run it as " + role + " or a superuser"
}

// longWaits are the lock waits worth a warning, longest first.
func (d *Diagnosis) longWaits() []serverview.LockWait {
	return slices.DeleteFunc(slices.Clone(d.Case.View.LockWaits), func(w serverview.LockWait) bool { return w.Seconds < d.Case.Thresholds.Lock.Seconds() })
}

// observed is the view as far as the sentence about a lock needs it.
func (c Case) observed() diagnosis.View {
	now := time.Now()
	out := diagnosis.View{At: now, Role: c.View.Role, Superuser: c.View.Superuser}
	for _, b := range c.View.Blockers() {
		state := b.State
		if state == "hidden" {
			state = ""
		}
		out.Blockers = append(out.Blockers, diagnosis.Blocker{PID: b.PID, Application: b.Application, Role: b.Role, State: state,
			For: time.Duration(b.StateSeconds * float64(time.Second)), Blocks: b.Blocks})
	}
	return out
}

// notes are what keeps this examination from seeing everything.
func (d *Diagnosis) notes() {
	c, v := d.Case, d.Case.View
	note := func(code, format string, args ...any) { d.find(report.Healthy, code, format, args...) }
	if v.Superuser {
		note("superuser", "%s is a superuser: no limit stops it, and the slots for superusers are counted as not the fleet's", v.Role)
	}
	if hidden := hiddenSessions(v); hidden > 0 && !v.SeesAll {
		note("hidden", "what %s of other roles do is hidden: GRANT pg_monitor TO %s shows it", report.Plural(hidden, "session", "sessions"), quoteName(v.Role))
	}
	if v.InRecovery {
		note("standby", "this is a standby: its slots are its own, and a fleet's locks are not shared with the primary")
	}
	if c.Pooler {
		note("pooler", "a pooler stands between: these are its server's slots, taken by the pooler's role; the pool's size counts against the pooler's own limits")
	}
	if c.QueryError != "" {
		note("unseen", "the longest queries could not be read: %s", c.QueryError)
	}
	if c.Age > time.Minute {
		note("stale", "the service read these figures %s ago", report.Duration(c.Age))
	}
}

func hiddenSessions(v *serverview.View) int {
	n := 0
	for _, a := range v.Applications {
		n += a.Hidden
	}
	return n
}

func have(n int, one, many string) string { return report.Plural(n, one, many) }

// who names a session.
func who(pid uint32, application string) string {
	return fmt.Sprintf("pid %d, %s", pid, report.AppName(application))
}

func holder(h serverview.LockHolder) string {
	text := who(h.PID, h.Application) + ", " + h.State
	if h.TransactionSeconds > 0 {
		text += ", transaction " + report.Seconds(h.TransactionSeconds)
	}
	return text
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
