package monitor

import (
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/dbpool-go/dbpool/internal/flap"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// diagnosisOf is what the pool says is wrong; nil when nothing is.
func diagnosisOf(l look) *statusjson.Diagnosis {
	d := l.wrong
	if d.Verdict == "" {
		return nil
	}
	out := &statusjson.Diagnosis{
		Verdict: string(d.Verdict), Sentence: d.Sentence, Culprit: d.Culprit, Command: d.Command, Since: d.Since,
	}
	if !d.Seen.IsZero() {
		out.SeenAgeSeconds = seconds(max(l.at.Sub(d.Seen), 0))
	}
	return out
}

// tellPool hands the pool what was seen of the server last, and since when the
// server, although connected, has not answered.
func (m *Monitor) tellPool() {
	m.mu.Lock()
	silent, running := m.prober.silentAt, m.state == statusjson.MonitoringOn
	m.mu.Unlock()
	seen := pool.ServerView{}
	if a := m.server.view.get(); a.value != nil {
		seen = observed(a.value, a.at)
	}
	seen.Silent, seen.KeepPlace = silent, running
	m.pool.ObserveServer(seen)
}

// observed is a view as far as it explains why callers wait.
func observed(v *serverview.View, at time.Time) pool.ServerView {
	out := pool.ServerView{
		At: at, Role: v.Role, Superuser: v.Superuser, Sessions: v.Sessions, Usable: v.Usable, Free: v.Free, LockWaiting: v.LockWaiting,
	}
	for _, a := range v.Applications {
		out.Applications = append(out.Applications, pool.ServerApplication{Name: a.Name, Sessions: a.Sessions})
	}
	for _, b := range v.Blockers() {
		state := b.State
		if state == "hidden" {
			state = ""
		}
		out.Blockers = append(out.Blockers, pool.ServerBlocker{
			PID: b.PID, Application: b.Application, Role: b.Role, State: state,
			For: time.Duration(b.StateSeconds * float64(time.Second)), Blocks: b.Blocks,
		})
	}
	return out
}

const (
	// diagnosedAfter is for how long a diagnosis must stand to be worth a warning.
	diagnosedAfter = 2 * time.Second
	// diagnosedOver is for how long there must be none for it to be over.
	diagnosedOver = 10 * time.Second
)

// diagnosed follows the diagnosis from check to check: one warning for each
// cause and culprit, one all-clear.
type diagnosed struct {
	now   pool.Diagnosis // the latest
	since time.Time      // since when its cause and culprit have stood
	last  time.Time      // when there was one last

	told      pool.Diagnosis // what the log has, or would have if it did not flap
	announced time.Time      // since when that kind has stood
	flaps     flap.Spell
}

// same reports whether two diagnoses name the same cause and culprit.
func same(a, b pool.Diagnosis) bool { return a.Verdict == b.Verdict && a.Culprit == b.Culprit }

// processID is what changes in a culprit that comes again.
var processID = regexp.MustCompile(`\bpid \d+`)

// kindOf is what diagnoses that flap have in common; empty for none.
func kindOf(d pool.Diagnosis) string {
	return strings.TrimSpace(string(d.Verdict) + " " + processID.ReplaceAllString(d.Culprit, "pid"))
}

// bearable is a leak that keeps nobody from a connection so far: the pool itself logs
// who holds it.
func bearable(l look) bool {
	return l.wrong.Verdict == pool.VerdictLeak && l.stats.Waiting == 0 && l.stats.Usage() < float64(l.cfg.MaxConnectionWarnings)
}

func (w *watch) watchDiagnosis(n *notices, l look) {
	g, d := &w.diagnosed, l.wrong
	if d.Verdict == "" || bearable(l) {
		if n.at.Sub(g.last) >= diagnosedOver {
			g.over(n)
		}
		return
	}
	if !same(d, g.now) {
		g.since = n.at
	}
	g.now, g.last = d, n.at
	if n.at.Sub(g.since) >= diagnosedAfter {
		g.announce(n, l)
	}
}

// announce tells what stands, in place of what was told before.
func (g *diagnosed) announce(n *notices, l look) {
	is := kindOf(g.now)
	if is != kindOf(g.told) {
		g.told, g.announced = g.now, g.since
	}
	t := g.flaps.Stands(n.at, is, !same(g.now, g.told))
	if t.Tell {
		g.told = g.now
	}
	n.came(t, slog.LevelWarn, statusjson.EventDiagnosis, is, g.now.Sentence, g.now.Sentence, "verdict", string(g.now.Verdict),
		"in_use", l.stats.InUse, "limit", l.stats.Limit, "waiting", l.stats.Waiting)
}

// over ends what was told.
func (g *diagnosed) over(n *notices) {
	if t := g.flaps.Over(n.at); t.News {
		was := g.told
		n.went(t, statusjson.EventDiagnosis, kindOf(was), "callers get connections again", "over: "+string(was.Verdict),
			"verdict", string(was.Verdict), "lasted_seconds", seconds(g.last.Sub(g.announced)))
	}
	g.now, g.told = pool.Diagnosis{}, pool.Diagnosis{}
}
