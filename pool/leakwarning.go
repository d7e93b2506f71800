package pool

import (
	"slices"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
)

// leakPlace is where connections are held too long, and what they do there: those of
// one place have one cause.
type leakPlace struct{ caller, name, activity string }

// leaks are those of one place since the last line about it.
type leaks struct {
	place  leakPlace
	told   time.Time
	untold []gate.Holding // longest first
}

// leaksToldAgain is how long after a line the next one about the same place comes: a
// leak that takes one connection a minute is not a line a minute.
const leaksToldAgain = 10 * time.Minute

// warnOfLeaks warns of each holder that has passed the threshold, once: those of one
// place in one line, with the longest of them. What came back before its line would
// come has none.
func (h *housekeeper) warnOfLeaks(now time.Time) {
	if h.p.cfg.LeakThreshold == 0 {
		return
	}
	for _, leak := range h.p.gate.NewLeaks(now, h.p.cfg.LeakThreshold) {
		holder := h.p.describe(&leak, now)
		of := h.leaksOf(leakPlace{holder.Caller, holder.Name, holder.Activity})
		of.untold = append(of.untold, leak)
	}
	h.leaks = slices.DeleteFunc(h.leaks, func(of *leaks) bool { return !h.tellLeaks(of, now) })
}

// leaksOf returns those of a place.
func (h *housekeeper) leaksOf(at leakPlace) *leaks {
	if i := slices.IndexFunc(h.leaks, func(of *leaks) bool { return of.place == at }); i >= 0 {
		return h.leaks[i]
	}
	of := &leaks{place: at}
	h.leaks = append(h.leaks, of)
	return of
}

// tellLeaks has the line about a place, if it is due, and reports whether the place is
// to be remembered.
func (h *housekeeper) tellLeaks(of *leaks, now time.Time) bool {
	if now.Sub(of.told) < leaksToldAgain {
		return true
	}
	of.untold = slices.DeleteFunc(of.untold, func(l gate.Holding) bool { return h.p.gate.GrantOf(l.P) != l.Grant })
	if len(of.untold) == 0 {
		return false
	}
	longest := h.p.describe(&of.untold[0], now)
	h.p.log.Warn("connection held too long", append(holderAttrs(h.p.cfg.Name, longest), "connections", len(of.untold), "stack", longest.Stack)...)
	of.told, of.untold = now, nil
	return true
}

// cameBack is a leak that came back, and when.
type cameBack struct {
	gate.Holding
	at time.Time
}

// allClear notes that a connection came back after its warning. It may be
// called under database/sql's locks, so the line is written by the housekeeper.
func (h *housekeeper) allClear(permit *gate.Permit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owed = append(h.owed, cameBack{permit.Holding(), time.Now()}) // it is its owner's again
}

// tellCameBack has a line for those of one place, with what was held longest.
func (h *housekeeper) tellCameBack() {
	h.mu.Lock()
	owed := h.owed
	h.owed = nil
	h.mu.Unlock()
	for len(owed) > 0 {
		at := h.placeOf(owed[0])
		longest, n := owed[0], 0
		owed = slices.DeleteFunc(owed, func(c cameBack) bool {
			if h.placeOf(c) != at {
				return false
			}
			if n++; c.held() > longest.held() {
				longest = c
			}
			return true
		})
		attrs := []any{"pool", h.p.cfg.Name, "held_seconds", logSeconds(longest.held()), "caller", at.caller}
		h.p.log.Info("connection came back", append(append(attrs, logName(at.name)...), "connections", n)...)
	}
}

// placeOf is where a connection was held that has come back.
func (h *housekeeper) placeOf(c cameBack) leakPlace {
	return leakPlace{caller: caller(c.Callsite).place(h.p.plumbing), name: c.Name}
}

// held is how long it had been held.
func (c cameBack) held() time.Duration { return c.at.Sub(c.Since) }
