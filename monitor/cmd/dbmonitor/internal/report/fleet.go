package report

import (
	"fmt"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// mostSteps is what a report shows of the fleet's arithmetic, and of its remedies.
const mostSteps = 8

// fleet says whether all replicas of the service together fit the server; when
// they do not, why, and what would make them fit.
func (w *writer) fleet() {
	f := w.now.Fleet
	if f == nil {
		return
	}
	fits := w.word("fleet.fits", func(s *statusjson.Status) string { return Fits(s.Fleet) })
	if f.Fits == nil {
		w.end("Fleet", fits)
		return
	}
	level := Healthy
	if !*f.Fits {
		level = Warning
	}
	replicas := w.fleetNum("replicas", func(f *statusjson.FleetFigures) int { return f.Replicas })
	text := fmt.Sprintf("%s: it %s %s connections, and %s are usable (replicas: %s", fits, asks(f),
		w.fleetNum("need", func(f *statusjson.FleetFigures) int { return f.Need }),
		w.fleetNum("usable", func(f *statusjson.FleetFigures) int { return f.Usable }), replicas)
	if f.Surge > 0 {
		text += fmt.Sprintf(", and %d more in a deploy", f.Surge)
	}
	w.endAt(level, "Fleet", some("; ", text+")", age(f.AgeSeconds)))
	w.fleetShare(f)
	if *f.Fits {
		return
	}
	for _, step := range f.Arithmetic[:min(len(f.Arithmetic), mostSteps)] {
		w.end("", step)
	}
	for i, remedy := range f.Remedies[:min(len(f.Remedies), mostSteps)] {
		w.end(first(i, "Would fit"), remedy)
	}
}

// fleetShare is this replica's part of a budget that is enforced.
func (w *writer) fleetShare(f *statusjson.FleetFigures) {
	if f.Mode != "enforce" {
		return
	}
	how := w.word("fleet.fallback", func(s *statusjson.Status) string {
		if s.Fleet == nil || s.Fleet.Fallback == "" {
			return "shared by need"
		}
		return "divided by number: " + s.Fleet.Fallback
	})
	w.end("", fmt.Sprintf("this replica has %s, may have %s; %s kept free for replicas that start; %s",
		w.fleetNum("tokens", func(f *statusjson.FleetFigures) int { return f.Tokens }),
		w.fleetNum("share", func(f *statusjson.FleetFigures) int { return f.Share }),
		w.fleetNum("headroom", func(f *statusjson.FleetFigures) int { return f.Headroom }), how))
}

// fleetNum is num for a figure of the fleet.
func (w *writer) fleetNum(field string, get func(*statusjson.FleetFigures) int) string {
	return w.num("fleet."+field, func(s *statusjson.Status) int {
		if s.Fleet == nil {
			return 0
		}
		return get(s.Fleet)
	})
}

// Fits says in words whether the fleet fits; empty when nobody looks at it.
func Fits(f *statusjson.FleetFigures) string {
	switch {
	case f == nil:
		return ""
	case f.Fits == nil:
		return "not looked at yet"
	case *f.Fits:
		return "fits"
	default:
		return "does not fit"
	}
}

func asks(f *statusjson.FleetFigures) string {
	if f.Mode == "enforce" {
		return "needs at least"
	}
	return "can ask for"
}
