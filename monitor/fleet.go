package monitor

import (
	"fmt"
	"strings"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// fleetFigures is nil when nobody looks at the fleet.
func fleetFigures(l look) *statusjson.FleetFigures {
	f := &l.stats.Fleet
	if !watchesFleet(f) {
		return nil
	}
	out := &statusjson.FleetFigures{
		Mode: string(f.Mode), At: f.At, Replicas: f.Replicas, Surge: l.cfg.FleetSurge, Usable: f.Usable, Need: f.Need,
		Share: f.Share, Tokens: f.Tokens, Headroom: f.Headroom, Fallback: f.Fallback,
		Arithmetic: append([]string{}, f.Arithmetic...), Remedies: make([]string, 0, len(f.Remedies)),
	}
	if !f.At.IsZero() {
		out.Fits, out.AgeSeconds = &f.Fits, seconds(l.at.Sub(f.At))
	}
	for _, r := range f.Remedies {
		out.Remedies = append(out.Remedies, strings.TrimPrefix(r, "remedy: "))
	}
	return out
}

func watchesFleet(f *pool.FleetStats) bool { return f.Mode != "" && f.Mode != config.FleetOff }

// watchFleet notes when the fleet stops and starts fitting, and when its budget
// stops and starts being shared. The pool itself logs both.
func (w *watch) watchFleet(n *notices, l look) {
	f := &l.stats.Fleet
	if divided := f.Fallback != ""; divided != w.divided {
		w.divided = divided
		noteFallback(n, f)
	}
	misfit := isMisfit(f)
	if f.At.IsZero() || misfit == w.misfit {
		return
	}
	w.misfit = misfit
	if misfit {
		n.note(statusjson.EventFleetMisfit, statusjson.SeverityWarning, misfitMessage(l))
		return
	}
	n.note(statusjson.EventFleetFits, statusjson.SeverityInfo, "the fleet fits again: "+demand(l))
}

func noteFallback(n *notices, f *pool.FleetStats) {
	if f.Fallback == "" {
		n.note(statusjson.EventFleetShared, statusjson.SeverityInfo, "the fleet's budget is shared by need again")
		return
	}
	n.note(statusjson.EventFleetFallback, statusjson.SeverityWarning, fmt.Sprintf("the fleet's budget is divided by number, not shared by need: %s", f.Fallback))
}

// isMisfit reports whether the fleet was looked at and found not to fit.
func isMisfit(f *pool.FleetStats) bool { return watchesFleet(f) && !f.At.IsZero() && !f.Fits }

// misfitMessage names no role and no database: /health shows it to anyone.
func misfitMessage(l look) string {
	f := &l.stats.Fleet
	if f.Need <= f.Usable {
		return "the fleet does not fit: the budgets of all services together are more than the server has"
	}
	return "the fleet does not fit: " + demand(l)
}

// demand is "it can ask for 60 connections, and 47 are usable (5 replicas + 1 in
// a deploy)".
func demand(l look) string {
	f, verb := &l.stats.Fleet, "can ask for"
	if f.Mode == config.FleetEnforce {
		verb = "needs at least"
	}
	who := count(uint64(max(f.Replicas, 0)), "replica", "replicas")
	if l.cfg.FleetSurge > 0 {
		who += fmt.Sprintf(" + %d in a deploy", l.cfg.FleetSurge)
	}
	return fmt.Sprintf("it %s %s, and %d are usable (%s)", verb, count(uint64(max(f.Need, 0)), "connection", "connections"), f.Usable, who)
}

// fleet judges whether the fleet fits. A fleet that does not works until it is
// busy or deployed, so it degrades: nobody's traffic is to be taken away for it,
// and somebody is to see it before the server answers 53300.
func (e evidence) fleet() (statusjson.Problem, bool) {
	if !isMisfit(&e.stats.Fleet) {
		return statusjson.Problem{}, false
	}
	return warning(statusjson.ProblemFleetMisfit, time.Time{}, misfitMessage(e.look))
}
