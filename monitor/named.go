package monitor

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// namedStep is how often the figures by name are kept for later: the figures of
// lately are reckoned against them.
const (
	namedStep = time.Minute
	namedKept = int(recentSpan/namedStep) + 1
)

// named remembers the figures of routes and statements: up to 0.8 MB of a service
// with 200 of each. Its zero value is empty.
type named struct {
	marks [namedKept]namedMark
	n     uint64 // marks made so far
}

// namedMark is the figures at one moment, by name.
type namedMark struct {
	at                 time.Time
	routes, statements map[string]pool.RouteStats
}

// isDue reports whether a mark is to be made.
func (h *named) isDue(now time.Time) bool {
	return h.n == 0 || now.Sub(h.marks[(h.n-1)%uint64(namedKept)].at) >= namedStep-checkInterval/4
}

func (h *named) keep(m namedMark) {
	h.marks[h.n%uint64(namedKept)] = m
	h.n++
}

// base is the oldest mark of the last recentSpan; without names when there is none.
func (h *named) base(now time.Time) (m namedMark, ok bool) {
	for i := h.n - min(h.n, uint64(namedKept)); i < h.n; i++ {
		if m = h.marks[i%uint64(namedKept)]; now.Sub(m.at) <= recentSpan {
			return m, true
		}
	}
	return namedMark{}, false
}

// markNamed keeps the figures by name once a minute.
func (m *Monitor) markNamed(now time.Time) {
	m.mu.Lock()
	due := m.named.isDue(now)
	m.mu.Unlock()
	if !due {
		return
	}
	mark := namedMark{now, byName(m.pool.Routes()), byName(m.pool.Statements())}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.named.keep(mark)
}

func byName(all []pool.RouteStats) map[string]pool.RouteStats {
	out := make(map[string]pool.RouteStats, len(all))
	for _, r := range all {
		out[r.Name] = r
	}
	return out
}

// addNamed adds the figures by route and by statement.
func (m *Monitor) addNamed(st *statusjson.Status) {
	routes, statements := m.pool.Routes(), m.pool.Statements()
	m.mu.Lock()
	base, ok := m.named.base(st.At)
	ok = ok && m.state == statusjson.MonitoringOn
	m.mu.Unlock()
	st.Routes, st.Statements = figuresByName(routes, base.routes, ok), figuresByName(statements, base.statements, ok)
	if m.opts.queryText {
		return
	}
	for i := range st.Statements {
		st.Statements[i].Name = codeOf(st.Statements[i].Name)
	}
}

// codeOf stands for a statement whose text is not to be shown: "select #1f0c9a2b".
func codeOf(text string) string {
	if text == "" {
		return ""
	}
	verb := strings.ToLower(text)
	if i := strings.IndexFunc(verb, func(r rune) bool { return !unicode.IsLetter(r) }); i >= 0 {
		verb = verb[:i]
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return strings.TrimSpace(fmt.Sprintf("%.10s #%08x", verb, h.Sum32()))
}

// figuresByName are those that use or want connections now, then those that have
// held them for the longest of late, then in all.
func figuresByName(all []pool.RouteStats, base map[string]pool.RouteStats, recently bool) []statusjson.RouteFigures {
	out := make([]statusjson.RouteFigures, 0, len(all))
	lately := make(map[string]time.Duration, len(all))
	for _, r := range all {
		f := routeFigures(r)
		if recently {
			wait, hold := r.Wait.Sub(base[r.Name].Wait), r.Hold.Sub(base[r.Name].Hold)
			f.RecentCount = hold.Count
			f.RecentWaitP95Seconds, f.RecentHoldP95Seconds = wait.Quantile(0.95).Seconds(), hold.Quantile(0.95).Seconds()
			lately[r.Name] = hold.Sum
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b statusjson.RouteFigures) int {
		return cmp.Or(cmp.Compare(b.InUse+b.Waiting, a.InUse+a.Waiting), cmp.Compare(lately[b.Name], lately[a.Name]))
	})
	return out[:min(len(out), routesShown)]
}

func routeFigures(r pool.RouteStats) statusjson.RouteFigures {
	return statusjson.RouteFigures{
		Name: r.Name, InUse: r.InUse, Waiting: r.Waiting,
		AcquiredCount: r.AcquireCount, TimedOutCount: r.TimeoutCount, ShedCount: r.ShedCount,
		WaitP95Seconds: r.Wait.Quantile(0.95).Seconds(), HoldP50Seconds: r.Hold.Quantile(0.5).Seconds(),
		HoldP95Seconds: r.Hold.Quantile(0.95).Seconds(), HoldTotalSeconds: seconds(r.Hold.Sum),
	}
}
