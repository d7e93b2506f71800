package pool

import (
	"cmp"
	"slices"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
)

// leakPlace is where connections are held too long, and what they do there: those of
// one place have one cause.
type leakPlace struct{ caller, name, activity string }

// leaks are those of one place since the last line about it.
type leaks struct {
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
		at := leakPlace{holder.Caller, holder.Name, holder.Activity}
		of := h.leaks[at]
		if of == nil {
			of = &leaks{}
			h.leaks[at] = of
		}
		of.untold = append(of.untold, leak)
	}
	for at, of := range h.leaks {
		if now.Sub(of.told) < leaksToldAgain {
			continue
		}
		of.untold = slices.DeleteFunc(of.untold, func(l gate.Holding) bool { return h.p.gate.GrantOf(l.P) != l.Grant })
		if len(of.untold) == 0 {
			delete(h.leaks, at)
			continue
		}
		longest := h.p.describe(&of.untold[0], now)
		h.p.log.Warn("connection held too long", append(holderAttrs(h.p.cfg.Name, longest), "connections", len(of.untold), "stack", longest.Stack)...)
		of.told, of.untold = now, nil
	}
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
	places := map[leakPlace][]cameBack{}
	for _, c := range owed {
		at := leakPlace{caller: caller(c.Callsite).place(h.p.plumbing), name: c.Name}
		places[at] = append(places[at], c)
	}
	for at, all := range places {
		longest := slices.MaxFunc(all, func(a, b cameBack) int { return cmp.Compare(a.held(), b.held()) })
		attrs := []any{"pool", h.p.cfg.Name, "held_seconds", logSeconds(longest.held()), "caller", at.caller}
		h.p.log.Info("connection came back", append(append(attrs, logName(at.name)...), "connections", len(all))...)
	}
}

// held is how long it had been held.
func (c cameBack) held() time.Duration { return c.at.Sub(c.Since) }
