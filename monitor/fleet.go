package monitor

import (
	"fmt"
	"strings"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

// FleetFigures say whether all replicas of the service together fit the server.
//
// The fleet is looked at every 15 seconds, and at the first time when the pool
// has its first connection. Until then at and fits are absent, and replicas,
// usable and need are 0.
type FleetFigures struct {
	Mode       string    `json:"mode"`        // "warn" or "enforce"
	At         time.Time `json:"at,omitzero"` // when the fleet was looked at last, by the service's clock
	AgeSeconds float64   `json:"age_seconds"` // how long ago that is; 0 before the first time

	Replicas int   `json:"replicas"`       // live ones, or DB_FLEET_REPLICAS if that is more
	Surge    int   `json:"surge"`          // more of them while a rolling deploy is under way, DB_FLEET_SURGE
	Usable   int   `json:"usable"`         // connections that all replicas together may have
	Need     int   `json:"need"`           // connections that they can ask for, surge included; with "enforce" one each, the least they need
	Fits     *bool `json:"fits,omitempty"` // need <= usable, and the budgets of all services are within what the server has

	// With "enforce" only, else 0 and empty; these are of this moment.
	Share    int    `json:"share"`              // the most connections that this replica may have
	Tokens   int    `json:"tokens"`             // connections of the budget that this replica has
	Headroom int    `json:"headroom"`           // connections kept free for replicas that start
	Fallback string `json:"fallback,omitempty"` // why the budget is divided by number instead of shared; absent while it is shared

	Arithmetic []string `json:"arithmetic"` // how usable and need come about, a step a line
	Remedies   []string `json:"remedies"`   // what would make it fit: one of the variables, or all of the SQL together; empty when it does
}

// fleetFigures is nil when nobody looks at the fleet.
func fleetFigures(l look) *FleetFigures {
	f := &l.stats.Fleet
	if !watchesFleet(f) {
		return nil
	}
	out := &FleetFigures{
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
func (w *watch) watchFleet(n *newsdesk, l look) {
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
		n.note(EventFleetMisfit, SeverityWarning, misfitMessage(l))
		return
	}
	n.note(EventFleetFits, SeverityInfo, "the fleet fits again: "+demand(l))
}

func noteFallback(n *newsdesk, f *pool.FleetStats) {
	if f.Fallback == "" {
		n.note(EventFleetShared, SeverityInfo, "the fleet's budget is shared by need again")
		return
	}
	n.note(EventFleetFallback, SeverityWarning, fmt.Sprintf("the fleet's budget is divided by number, not shared by need: %s", f.Fallback))
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
func (e evidence) fleet() (Problem, bool) {
	if !isMisfit(&e.stats.Fleet) {
		return Problem{}, false
	}
	return warning(ProblemFleetMisfit, time.Time{}, misfitMessage(e.look))
}
