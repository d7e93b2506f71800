package monitor

import (
	"net/http"
	"strconv"
	"time"

	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

const (
	holdersShown = 20
	stackShown   = 32
	routesShown  = 30
)

// PoolStatus returns the handler of /debug/pool-status. A browser gets the page,
// everyone else a Status as JSON; ?format=json and ?format=html overrule that,
// ?history=0 adds the History, and &step=60 makes it the last 12 hours by the
// minute instead of 15 minutes. It always answers 200: what could not be had says
// so in its place. The server is asked at most once in two seconds, however many
// look. See the package's documentation for who may see it, and what.
func (m *Monitor) PoolStatus() http.Handler {
	page := newPage()
	return m.opts.guard.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept")
		if !allowed(w, r) {
			return
		}
		if wantsHTML(r) {
			page.ServeHTTP(w, r)
			return
		}
		m.answerStatus(w, r)
	}))
}

func (m *Monitor) answerStatus(w http.ResponseWriter, r *http.Request) {
	from, asked, err := historyFrom(r)
	if err != nil {
		writeJSON(w, r, http.StatusBadRequest, map[string]string{"service": statusjson.ServiceName, "error": "history: a number is expected: 0, or the \"next\" of the answer before"})
		return
	}
	m.askForViewer(r.Context())
	status := m.Status()
	if asked {
		m.mu.Lock()
		status.History = m.history.of(r).since(from)
		m.mu.Unlock()
	}
	writeJSON(w, r, http.StatusOK, status)
}

// of is the timeline that is asked for: the coarse one with ?step=60.
func (h *history) of(r *http.Request) *timeline {
	if r.URL.Query().Get("step") == "60" {
		return &h.coarse
	}
	return &h.fine
}

func historyFrom(r *http.Request) (from uint64, asked bool, err error) {
	q := r.URL.Query()
	if !q.Has("history") {
		return 0, false, nil
	}
	from, err = strconv.ParseUint(q.Get("history"), 10, 64)
	return from, true, err
}

// Status returns what /debug/pool-status answers at this moment, without the
// history. It does not ask the server: the server's view is the last one had.
func (m *Monitor) Status() statusjson.Status {
	l := m.look()
	st := statusjson.Status{
		Service: statusjson.ServiceName, Format: statusjson.Format, Name: l.cfg.Name, ApplicationName: l.cfg.ApplicationName, At: l.at,
		Health:           m.healthReport(l),
		Pool:             poolFigures(l),
		Queue:            queueFigures(&l.stats),
		Lanes:            laneFigures(&l.stats),
		Pipeline:         pipelineFigures(&l.stats.Pipeline),
		Connections:      connectionFigures(&l.stats),
		Leaks:            statusjson.LeakFigures{Now: l.stats.Leaking, WarnedCount: l.stats.LeakWarningCount, ThresholdSeconds: l.cfg.LeakThreshold.Seconds()},
		Tasks:            taskFigures(&l.stats),
		Access:           accessState(&l.stats),
		LastDialError:    dialFailure(l.stats.LastDialError, m.opts.addresses),
		StatementTimeout: statusjson.StatementTimeoutState{WantSeconds: l.stats.StatementTimeout.Want.Seconds(), InForce: l.stats.StatementTimeout.InForce, How: l.stats.StatementTimeout.How},
		Pooler:           l.stats.Pooler,
		Settings:         settings(l.cfg),
		Standby:          standbyFigures(l.stats.Standby, m.opts.addresses),
		Fleet:            fleetFigures(l),
		Holders:          holders(m.pool.Holders(holdersShown), m.opts.stacks),
		Server:           m.serverReport(l.at, l.cfg.MaxConnectionWarnings),
		Queries:          m.queryReport(l.at),
	}
	m.addNamed(&st)
	m.addWatched(&st, l)
	return st
}

// addWatched adds what the background checks know.
func (m *Monitor) addWatched(st *statusjson.Status, l look) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st.Monitoring, st.MonitoringSince = m.state, m.since
	usage, server := &m.watch.usage, &m.watch.serverUsage
	st.Pool.OverThreshold, st.Pool.OverSince = usage.on, usage.begin()
	st.Server.OverThreshold, st.Server.OverSince = server.on, server.begin()
	st.Pool.PeakInUse = max(m.history.peakInUse(), l.stats.InUse)
	st.Events = m.events.latest()
	if m.state != statusjson.MonitoringOn {
		return
	}
	wait, hold, window := m.history.recent(l)
	st.Queue.RecentWait, st.Queue.RecentHold = distribution(wait), distribution(hold)
	st.Queue.WindowSeconds = seconds(window)
}

func (m *Monitor) serverReport(now time.Time, threshold int) statusjson.ServerReport {
	a := m.server.view.get()
	r := statusjson.ServerReport{Error: a.err, At: a.at, View: a.value, ThresholdPercent: threshold}
	if a.value != nil {
		r.AgeSeconds = seconds(now.Sub(a.at))
	}
	return r
}

func (m *Monitor) queryReport(now time.Time) statusjson.QueryReport {
	a := m.server.queries.get()
	r := statusjson.QueryReport{Error: a.err, At: a.at, TextShown: m.opts.queryText, Longest: []serverview.Query{}}
	if a.value != nil {
		r.Longest, r.AgeSeconds = *a.value, seconds(now.Sub(a.at))
	}
	return r
}
