package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// What a report shows of each list, at most.
const (
	mostHolders = 10
	mostQueries = 5
	mostEvents  = 5
	mostApps    = 8
	mostTasks   = 3
	mostNamed   = 5
)

func (w *writer) server() {
	r := w.now.Server
	if r.Error != "" {
		text := "could not be asked: " + r.Error
		if r.View != nil {
			text += "; what follows is " + Seconds(r.AgeSeconds) + " old"
		}
		w.endAt(Warning, "Server", text)
	}
	v := r.View
	if v == nil {
		return
	}
	level := Healthy
	if r.OverThreshold {
		level = Warning
	}
	view := func(get func(*serverview.View) int) func(*statusjson.Status) int {
		return func(s *statusjson.Status) int {
			if s.Server.View == nil {
				return 0
			}
			return get(s.Server.View)
		}
	}
	label := "Server"
	if r.Error != "" {
		label = ""
	}
	w.endAt(level, label, fmt.Sprintf("%s of %s sessions; %s %s of %s; %s free for this role",
		w.num("server.view.sessions", view(func(v *serverview.View) int { return v.Sessions })),
		w.num("server.view.max_connections", view(func(v *serverview.View) int { return v.MaxConnections })),
		Bar(v.UsagePercent, 20), Percent(v.UsagePercent), BoundBy(v),
		w.num("server.view.free", view(func(v *serverview.View) int { return v.Free }))))
	w.end("", ServerLimits(v))
	w.end("", some("; ", Version(v)+standby(v), "role "+v.Role, "database "+v.Database, age(r.AgeSeconds)))
	w.word("server.view.states", func(s *statusjson.Status) string { return States(s.Server.View) })
	w.end("", "states: "+orDash(States(v)))
	w.word("server.view.applications", func(s *statusjson.Status) string { return Applications(s.Server.View, mostApps) })
	w.end("", "applications: "+orDash(Applications(v, mostApps)))
}

// Version is "PostgreSQL 18.4", without what a packager adds.
func Version(v *serverview.View) string {
	version, _, _ := strings.Cut(v.Version, " ")
	return "PostgreSQL " + version
}

func standby(v *serverview.View) string {
	if v.InRecovery {
		return " (standby)"
	}
	return ""
}

func age(seconds float64) string {
	if seconds < 60 {
		return ""
	}
	return "read " + Seconds(seconds) + " ago"
}

// BoundBy names the limit that UsagePercent is about, with its size.
func BoundBy(v *serverview.View) string {
	switch v.BoundBy {
	case serverview.BoundRole:
		return fmt.Sprintf("the role's limit of %d", v.RoleLimit)
	case serverview.BoundDatabase:
		return fmt.Sprintf("the database's limit of %d", v.DatabaseLimit)
	default:
		return "what it allows"
	}
}

// ServerLimits is the arithmetic of what the role may use.
func ServerLimits(v *serverview.View) string {
	text := fmt.Sprintf("usable %d: max_connections %d", v.Usable, v.MaxConnections)
	if !v.Superuser {
		text += fmt.Sprintf(" - %d for superusers", v.SuperuserReserved)
		if !v.MayUseReserved && v.Reserved > 0 {
			text += fmt.Sprintf(" - %d reserved", v.Reserved)
		}
	}
	if v.RoleLimit >= 0 {
		text += fmt.Sprintf(", role limit %d", v.RoleLimit)
	}
	if v.DatabaseLimit >= 0 {
		text += fmt.Sprintf(", database limit %d", v.DatabaseLimit)
	}
	return text
}

// States is "10 idle, 4 active".
func States(v *serverview.View) string {
	if v == nil {
		return ""
	}
	text := ""
	for _, s := range v.States {
		text = some(", ", text, fmt.Sprintf("%d %s", s.Count, s.State))
	}
	return text
}

// Applications is "orders 10, psql 2, 5 more", naming at most so many.
func Applications(v *serverview.View, most int) string {
	if v == nil {
		return ""
	}
	text, rest := "", v.OtherApps
	for i, a := range v.Applications {
		if i >= most {
			rest += a.Sessions
			continue
		}
		text = some(", ", text, fmt.Sprintf("%s %d", AppName(a.Name), a.Sessions))
	}
	if rest > 0 {
		text = some(", ", text, fmt.Sprintf("others %d", rest))
	}
	return text
}

// AppName is an application_name fit for a list.
func AppName(name string) string {
	if strings.TrimSpace(name) == "" {
		return "(no name)"
	}
	return name
}

func (w *writer) settings() {
	s := w.now.Settings
	text := w.word("settings", func(st *statusjson.Status) string {
		s := st.Settings
		return fmt.Sprintf("pool timeout %s, connect %s, statement %s, recycle %s", Seconds(s.PoolTimeoutSeconds),
			Seconds(s.ConnectTimeoutSeconds), Seconds(s.StatementTimeoutSeconds), Seconds(s.PoolRecycleSeconds))
	})
	level := Healthy
	if t := w.now.StatementTimeout; t.WantSeconds > 0 {
		how := w.word("statement_timeout.how", func(s *statusjson.Status) string { return s.StatementTimeout.How })
		text += "; statement timeout: " + orNone(how)
		if !t.InForce && how == "not in force" {
			level = Warning
		}
	}
	if w.now.Pooler != "" {
		text += "; through " + w.now.Pooler
	}
	if s.Fleet != "" {
		text += "; fleet " + s.Fleet
	}
	w.endAt(level, "Settings", text)
}

func (w *writer) holders() {
	if n := w.now.Leaks.Now; n > 0 {
		w.num("leaks.now", func(s *statusjson.Status) int { return s.Leaks.Now })
		w.endAt(Warning, "Leaks", fmt.Sprintf("%s held longer than %s", Plural(n, "connection", "connections"), Seconds(w.now.Leaks.ThresholdSeconds)))
	}
	if len(w.now.Holders) == 0 {
		return
	}
	before := holderKeys(w.was)
	shown := w.now.Holders[:min(len(w.now.Holders), mostHolders)]
	lines := Table(shown, holderColumns)
	for i, h := range shown {
		if w.was != nil {
			w.fresh("holders", holderKey(h), before)
		}
		level := Healthy
		if h.Leaking {
			level = Warning
		}
		w.endAt(level, first(i, "Holders"), lines[i])
	}
	if more := len(w.now.Holders) - len(shown); more > 0 {
		w.end("", fmt.Sprintf("and %d more", more))
	}
}

func first(i int, label string) string {
	if i == 0 {
		return label
	}
	return ""
}

func holderColumns(h statusjson.Holder) []string {
	doing := orNone(h.Activity)
	if h.Leaking {
		doing += " (leaking)"
	}
	lane := h.Lane
	if lane == "request" { // nearly all are
		lane = ""
	}
	return []string{fmt.Sprintf("%6s", Seconds(h.HeldSeconds)), doing, orNone(h.Caller), h.Name, lane, PID(h.PID)}
}

// PID is "pid 4711", or nothing when it is not known.
func PID(pid uint32) string {
	if pid == 0 {
		return ""
	}
	return "pid " + strconv.FormatUint(uint64(pid), 10)
}

func holderKey(h statusjson.Holder) string {
	return some(" ", h.Caller, h.Name, strconv.Itoa(int(h.PID)))
}

func holderKeys(s *statusjson.Status) []string {
	if s == nil {
		return nil
	}
	keys := make([]string, 0, len(s.Holders))
	for _, h := range s.Holders {
		keys = append(keys, holderKey(h))
	}
	return keys
}

// named are the routes, or statements, that have or want the most connections.
func (w *writer) named(label string, all []statusjson.RouteFigures) {
	shown := all[:min(len(all), mostNamed)]
	for i, line := range Table(shown, namedColumns) {
		w.end(first(i, label), line)
	}
}

func namedColumns(r statusjson.RouteFigures) []string {
	return []string{
		fmt.Sprintf("%s in use", Count(uint64(r.InUse))), fmt.Sprintf("%s waiting", Count(uint64(r.Waiting))), "held p95 " + Held(r),
		fmt.Sprintf("%s timed out", Count(r.TimedOutCount)), fmt.Sprintf("%s refused", Count(r.ShedCount)), Named(r.Name),
	}
}

// Held is for how long 95 of 100 held their connection of late, or a dash.
func Held(r statusjson.RouteFigures) string {
	if r.RecentHoldP95Seconds == 0 {
		return "-"
	}
	return "<=" + Seconds(r.RecentHoldP95Seconds)
}

// Named is a name, or what all beyond the first are called.
func Named(name string) string {
	if name == "" {
		return "all others"
	}
	return name
}

func (w *writer) queries() {
	q := w.now.Queries
	if q.Error != "" {
		w.end("Queries", "could not be read: "+q.Error)
		return
	}
	shown := q.Longest[:min(len(q.Longest), mostQueries)]
	for i, line := range Table(shown, queryColumns) {
		w.end(first(i, "Queries"), line)
	}
}

func queryColumns(q serverview.Query) []string {
	state := orNone(q.State)
	if q.TransactionSeconds > q.QuerySeconds+1 {
		state += " (transaction " + Seconds(q.TransactionSeconds) + ")"
	}
	if len(q.BlockedBy) > 0 {
		state += fmt.Sprintf(", blocked by %d", q.BlockedBy)
	} else if q.WaitingFor != "" && !strings.HasPrefix(q.WaitingFor, "Client:") { // idle ones all wait for their client
		state += ", waits for " + q.WaitingFor
	}
	return []string{fmt.Sprintf("%6s", Seconds(q.QuerySeconds)), state, q.Role, AppName(q.ApplicationName), PID(q.PID), q.Text}
}

// events are the latest in the first report, and after it those that are new.
func (w *writer) events() {
	last := uint64(0)
	if w.was != nil && len(w.was.Events) > 0 {
		last = w.was.Events[0].Seq
	}
	for i, e := range w.now.Events {
		if i == mostEvents || w.was != nil && e.Seq <= last {
			break
		}
		if w.was != nil {
			w.note("events", nil, e.Message)
		}
		w.endAt(severity(e.Severity), first(i, "Events"), event(e, w.report.Snapshot.At.Location()))
	}
}

// event is one line about something that happened, in the reader's time zone.
func event(e statusjson.Event, zone *time.Location) string {
	return fmt.Sprintf("%s  %s  %s", e.At.In(zone).Format("15:04:05"), orNone(string(e.Severity)), e.Message)
}
