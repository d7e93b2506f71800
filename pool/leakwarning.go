package pool

import "time"

// leakPlace is where connections are held too long, and what they do there: those of
// one place have one cause.
type leakPlace struct{ caller, name, activity string }

// leaks are those of one place since the last line about it.
type leaks struct {
	told    time.Time
	longest Holder // of those not told yet
	n       int    // how many of those there are
}

// leaksToldAgain is how long after a line the next one about the same place comes: a
// leak that takes one connection a minute is not a line a minute.
const leaksToldAgain = 10 * time.Minute

// warnOfLeaks warns of each holder that has passed the threshold, once: those of one
// place in one line, with the longest of them.
func (h *housekeeper) warnOfLeaks(now time.Time) {
	if h.p.cfg.LeakThreshold == 0 {
		return
	}
	var places []leakPlace
	for _, leak := range h.p.gate.NewLeaks(now, h.p.cfg.LeakThreshold) { // longest first
		holder := h.p.describe(&leak, now)
		at := leakPlace{holder.Caller, holder.Name, holder.Activity}
		of := h.leaks[at]
		if of == nil {
			of = &leaks{}
			h.leaks[at] = of
			places = append(places, at)
		}
		if of.n++; of.n == 1 {
			of.longest = holder
		}
	}
	for _, at := range places {
		h.tellLeaks(h.leaks[at], now)
	}
	for at, of := range h.leaks {
		switch {
		case now.Sub(of.told) < leaksToldAgain:
		case of.n == 0:
			delete(h.leaks, at)
		default:
			h.tellLeaks(of, now)
		}
	}
}

func (h *housekeeper) tellLeaks(of *leaks, now time.Time) {
	h.p.log.Warn("connection held too long", append(holderAttrs(h.p.cfg.Name, of.longest), "connections", of.n, "stack", of.longest.Stack)...)
	of.told, of.longest, of.n = now, Holder{}, 0
}
