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

	coarseStep = time.Minute
	coarseSpan = 12 * time.Hour
	coarseKept = int(coarseSpan / coarseStep)

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

// timeline is entries of equal length, the latest of them. Its zero value but for
// step and kept is empty.
type timeline struct {
	step    time.Duration
	kept    uint64
	entries []entry
	next    uint64 // sequence of the entry to come
	open    entry  // the peaks of the step under way
	base    pool.Stats
	due     time.Time // when the step under way ends
}

// history is what the page draws: minutes closely, and hours coarsely. It takes
// at most 160 kB.
type history struct {
	fine, coarse timeline
	marks        [markKept]mark
	marked       uint64
}

// newTimelines returns an empty history.
func newTimelines() history {
	return history{fine: timeline{step: historyStep, kept: uint64(historyKept)}, coarse: timeline{step: coarseStep, kept: uint64(coarseKept)}}
}

// observe takes a look into both timelines.
func (h *history) observe(l look) {
	h.mark(&l.stats, l.at)
	h.fine.observe(l)
	h.coarse.observe(l)
}

// observe takes a look; every step it makes an entry of them. Steps end on a
// grid, and a look a little before the end counts as it: ticks come a moment
// early as often as late, and every second step would else last a check longer.
func (t *timeline) observe(l look) {
	s, now := &l.stats, l.at
	if t.due.IsZero() {
		t.base, t.due = *s, now.Add(t.step)
	}
	t.open.peak(s)
	t.open.inUse, t.open.waiting = max(t.open.inUse, int32(l.usage.Peak)), max(t.open.waiting, int32(l.usage.Waiting))
	late := now.Sub(t.due)
	if late < -checkInterval/4 {
		return
	}
	t.keep(t.close(l))
	t.open, t.base = entry{}, *s
	t.due = t.due.Add(t.step)
	if late >= t.step/2 { // looks have failed to come: a new grid
		t.due = now.Add(t.step)
	}
}

func (t *timeline) keep(e entry) {
	if uint64(len(t.entries)) < t.kept {
		t.entries = append(t.entries, e)
	} else {
		t.entries[t.next%t.kept] = e
	}
	t.next++
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

func (t *timeline) close(l look) entry {
	s, e := &l.stats, t.open
	e.at, e.serverUsed = l.at, -1
	if l.view != nil {
		e.serverUsed = int32(l.view.Sessions)
	}
	e.acquired = uint32(s.AcquireCount - t.base.AcquireCount)
	e.timedOut = uint32(s.TimeoutCount - t.base.TimeoutCount)
	e.shed = uint32(s.ShedCount - t.base.ShedCount)
	e.wait50, e.wait95, e.wait99 = quantiles(s.Wait.Sub(t.base.Wait))
	e.hold50, e.hold95, e.hold99 = quantiles(s.Hold.Sub(t.base.Hold))
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

// peakInUse is the most connections seen in use within the last 15 minutes.
func (h *history) peakInUse() int {
	peak := h.fine.open.inUse
	for i := range h.fine.entries {
		peak = max(peak, h.fine.entries[i].inUse)
	}
	return int(peak)
}

// since returns the entries from sequence on; all of them when they are not kept
// any more or never were.
func (t *timeline) since(sequence uint64) *statusjson.History {
	first := t.next - uint64(len(t.entries))
	if sequence < first || sequence > t.next {
		sequence = first
	}
	out := newHistory(int(t.next-sequence), t.step)
	out.From, out.Next = sequence, t.next
	for i := sequence; i < t.next; i++ {
		appendEntry(out, &t.entries[i%t.kept])
	}
	return out
}

func newHistory(n int, step time.Duration) *statusjson.History {
	ints := func() []int { return make([]int, 0, n) }
	counts := func() []uint64 { return make([]uint64, 0, n) }
	seconds := func() []float64 { return make([]float64, 0, n) }
	return &statusjson.History{
		StepSeconds: step.Seconds(), At: seconds(),
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
