package monitor

import (
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

const (
	historyStep = 2 * time.Second
	historySpan = 15 * time.Minute
	historyKept = int(historySpan / historyStep)

	markStep = 10 * time.Second
	markKept = int(recentSpan/markStep) + 1

	// recentSpan is the window of the "recent" percentiles.
	recentSpan = 5 * time.Minute
)

// entry is one step of the history. Its gauges are those of one moment, so that
// they never contradict each other: the one in the step with the most in use.
// Waiting is the most seen in the step.
type entry struct {
	at                                             time.Time
	inUse, idle, dialing, closing, limit, waiting  int32
	serverUsed                                     int32
	acquired, timedOut, shed                       uint32
	wait50, wait95, wait99, hold50, hold95, hold99 float64 // seconds
}

// mark is a snapshot of the histograms, against which the recent ones are reckoned.
type mark struct {
	at         time.Time
	wait, hold pool.Histogram
}

// history is what the page draws: fixed memory, about 60 kB. The zero value is empty.
type history struct {
	entries [historyKept]entry
	next    uint64 // sequence of the entry to come
	open    entry  // the peaks of the step under way
	base    pool.Stats
	due     time.Time // when the step under way ends
	marks   [markKept]mark
	marked  uint64
}

// observe takes a look; every historyStep it makes an entry of them. Steps end on
// a grid, and a look a little before the end counts as it: ticks come a moment
// early as often as late, and every second step would else last a check longer.
func (h *history) observe(l look) {
	s, now := &l.stats, l.at
	h.mark(s, now)
	if h.due.IsZero() {
		h.base, h.due = *s, now.Add(historyStep)
	}
	h.open.peak(s)
	h.open.inUse, h.open.waiting = max(h.open.inUse, int32(l.usage.Peak)), max(h.open.waiting, int32(l.usage.Waiting))
	late := now.Sub(h.due)
	if late < -checkInterval/4 {
		return
	}
	h.entries[h.next%uint64(historyKept)] = h.close(l)
	h.next++
	h.open, h.base = entry{}, *s
	h.due = h.due.Add(historyStep)
	if late >= checkInterval { // looks have failed to come: a new grid
		h.due = now.Add(historyStep)
	}
}

// peak takes the gauges over when more is in use than seen so far in the step.
func (e *entry) peak(s *pool.Stats) {
	e.waiting = max(e.waiting, int32(s.Waiting))
	if e.limit > 0 && int32(s.InUse) < e.inUse {
		return
	}
	e.inUse, e.idle, e.dialing, e.closing = int32(s.InUse), int32(s.Idle), int32(s.Dialing), int32(s.Closing)
	e.limit = int32(s.Limit)
}

func (h *history) close(l look) entry {
	s, e := &l.stats, h.open
	e.at, e.serverUsed = l.at, -1
	if l.view != nil {
		e.serverUsed = int32(l.view.Sessions)
	}
	e.acquired = uint32(s.AcquireCount - h.base.AcquireCount)
	e.timedOut = uint32(s.TimeoutCount - h.base.TimeoutCount)
	e.shed = uint32(s.ShedCount - h.base.ShedCount)
	e.wait50, e.wait95, e.wait99 = quantiles(s.Wait.Sub(h.base.Wait))
	e.hold50, e.hold95, e.hold99 = quantiles(s.Hold.Sub(h.base.Hold))
	return e
}

func quantiles(h pool.Histogram) (p50, p95, p99 float64) {
	if h.Count == 0 {
		return 0, 0, 0
	}
	return h.Quantile(0.5).Seconds(), h.Quantile(0.95).Seconds(), h.Quantile(0.99).Seconds()
}

func (h *history) mark(s *pool.Stats, now time.Time) {
	if h.marked > 0 && now.Sub(h.marks[(h.marked-1)%uint64(markKept)].at) < markStep {
		return
	}
	h.marks[h.marked%uint64(markKept)] = mark{at: now, wait: s.Wait, hold: s.Hold}
	h.marked++
}

// recent returns what was observed since the oldest mark of the last recentSpan,
// and how long that is.
func (h *history) recent(l look) (wait, hold pool.Histogram, window time.Duration) {
	first := h.marked - min(h.marked, uint64(markKept))
	for i := first; i < h.marked; i++ {
		m := &h.marks[i%uint64(markKept)]
		if age := l.at.Sub(m.at); age <= recentSpan {
			return l.stats.Wait.Sub(m.wait), l.stats.Hold.Sub(m.hold), age
		}
	}
	return wait, hold, 0
}

// peakInUse is the most connections seen in use within the history.
func (h *history) peakInUse() int {
	peak := h.open.inUse
	for i := range min(h.next, uint64(historyKept)) {
		peak = max(peak, h.entries[i].inUse)
	}
	return int(peak)
}

// since returns the entries from sequence on; all of them when they are not kept
// any more or never were.
func (h *history) since(sequence uint64) *statusjson.History {
	first := h.next - min(h.next, uint64(historyKept))
	if sequence < first || sequence > h.next {
		sequence = first
	}
	out := newHistory(int(h.next - sequence))
	out.From, out.Next = sequence, h.next
	for i := sequence; i < h.next; i++ {
		appendEntry(out, &h.entries[i%uint64(historyKept)])
	}
	return out
}

func newHistory(n int) *statusjson.History {
	ints := func() []int { return make([]int, 0, n) }
	counts := func() []uint64 { return make([]uint64, 0, n) }
	seconds := func() []float64 { return make([]float64, 0, n) }
	return &statusjson.History{
		StepSeconds: historyStep.Seconds(), At: seconds(),
		InUse: ints(), Idle: ints(), Dialing: ints(), Closing: ints(), Limit: ints(), Waiting: ints(), ServerUsed: ints(),
		Acquired: counts(), TimedOut: counts(), Shed: counts(),
		WaitP50: seconds(), WaitP95: seconds(), WaitP99: seconds(),
		HoldP50: seconds(), HoldP95: seconds(), HoldP99: seconds(),
	}
}

func appendEntry(h *statusjson.History, e *entry) {
	h.At = append(h.At, float64(e.at.UnixMilli())/1000)
	h.InUse = append(h.InUse, int(e.inUse))
	h.Idle = append(h.Idle, int(e.idle))
	h.Dialing = append(h.Dialing, int(e.dialing))
	h.Closing = append(h.Closing, int(e.closing))
	h.Limit = append(h.Limit, int(e.limit))
	h.Waiting = append(h.Waiting, int(e.waiting))
	h.ServerUsed = append(h.ServerUsed, int(e.serverUsed))
	h.Acquired = append(h.Acquired, uint64(e.acquired))
	h.TimedOut = append(h.TimedOut, uint64(e.timedOut))
	h.Shed = append(h.Shed, uint64(e.shed))
	h.WaitP50 = append(h.WaitP50, e.wait50)
	h.WaitP95 = append(h.WaitP95, e.wait95)
	h.WaitP99 = append(h.WaitP99, e.wait99)
	h.HoldP50 = append(h.HoldP50, e.hold50)
	h.HoldP95 = append(h.HoldP95, e.hold95)
	h.HoldP99 = append(h.HoldP99, e.hold99)
}
