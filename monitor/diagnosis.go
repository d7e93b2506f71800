package monitor

import (
	"time"

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
	now   pool.Diagnosis // what stands, announced or not
	since time.Time      // since when it has stood
	told  pool.Diagnosis // what was announced; the zero value when nothing stands
	last  time.Time      // when there was a diagnosis last
}

// same reports whether two diagnoses name the same cause and culprit.
func same(a, b pool.Diagnosis) bool { return a.Verdict == b.Verdict && a.Culprit == b.Culprit }

func (w *watch) watchDiagnosis(n *notices, l look) {
	g := &w.diagnosed
	d := l.wrong
	if d.Verdict == "" {
		if g.told.Verdict != "" && n.at.Sub(g.last) >= diagnosedOver {
			n.clear(statusjson.EventDiagnosis, "callers get connections again", "over: "+string(g.told.Verdict),
				"verdict", string(g.told.Verdict), "lasted_seconds", seconds(g.last.Sub(g.since)))
			*g = diagnosed{}
		}
		return
	}
	g.last = n.at
	if !same(d, g.now) {
		g.now, g.since = d, n.at
	}
	if n.at.Sub(g.since) < diagnosedAfter || same(d, g.told) {
		return
	}
	g.told = d
	n.warn(statusjson.EventDiagnosis, d.Sentence, d.Sentence, "verdict", string(d.Verdict),
		"in_use", l.stats.InUse, "limit", l.stats.Limit, "waiting", l.stats.Waiting)
}
