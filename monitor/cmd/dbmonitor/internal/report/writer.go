package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// Row is one line of a report.
type Row struct {
	Label   string // "Pool"; empty when the row belongs to the one above
	Text    string
	Changed bool  // it says something else than the report before
	Level   Level // how bad what it says is
}

// Change is one figure that differs from the report before.
type Change struct {
	Field string `json:"field"` // its path in the status, such as "pool.checked_out"
	From  any    `json:"from"`
	To    any    `json:"to"`
}

// Report is one answer, judged and compared with the answer before.
type Report struct {
	Snapshot source.Snapshot
	Verdict  Verdict
	Was      *Verdict // the verdict before; nil in the first report
	Rows     []Row    // empty when unreachable
	Changes  []Change // empty in the first report
}

// New compares an answer with the one before it, which may be nil.
func New(now source.Snapshot, before *source.Snapshot) Report {
	w := &writer{report: Report{Snapshot: now, Verdict: Judge(now)}, now: now.Status, health: now.Health}
	if before != nil {
		was := Judge(*before)
		w.report.Was, w.was, w.healthBefore = &was, before.Status, before.Health
		if was.Level != w.report.Verdict.Level {
			w.note("level", was.Level.String(), w.report.Verdict.Level.String())
			w.changed = false // the headline says it itself
		}
	}
	w.write()
	return w.report
}

// writer makes the rows. What it notes as changed goes into the row in hand.
type writer struct {
	report               Report
	now, was             *statusjson.Status // was is nil in the first report, and after one without a status
	health, healthBefore *statusjson.HealthReport
	changed              bool
}

func (w *writer) note(field string, from, to any) {
	w.changed = true
	w.report.Changes = append(w.report.Changes, Change{field, from, to})
}

// end puts a row into the report.
func (w *writer) end(label, text string) { w.endAt(Healthy, label, text) }

func (w *writer) endAt(level Level, label, text string) {
	w.report.Rows = append(w.report.Rows, Row{Label: label, Text: text, Changed: w.changed, Level: level})
	w.changed = false
}

// num prints a number of the status, and by how much it changed.
func (w *writer) num(field string, get func(*statusjson.Status) int) string {
	now := get(w.now)
	if w.was == nil || get(w.was) == now {
		return Count(now)
	}
	w.note(field, get(w.was), now)
	return fmt.Sprintf("%s (%+d)", Count(now), now-get(w.was))
}

// total is num for a counter. One that fell was reset: the service restarted.
func (w *writer) total(field string, get func(*statusjson.Status) uint64) string {
	now := get(w.now)
	if w.was == nil || get(w.was) == now {
		return Count(now)
	}
	was := get(w.was)
	w.note(field, was, now)
	if now < was {
		return Count(now) + " (from 0)"
	}
	return fmt.Sprintf("%s (+%s)", Count(now), Count(now-was))
}

// word prints a text made from the status, and notes when it differs.
func (w *writer) word(field string, get func(*statusjson.Status) string) string {
	now := get(w.now)
	if w.was != nil && get(w.was) != now {
		w.note(field, get(w.was), now)
	}
	return now
}

// fresh notes key when the list before, of the same document, did not have it.
func (w *writer) fresh(field, key string, before []string) {
	if !slices.Contains(before, key) {
		w.note(field, nil, key)
	}
}

// some joins the parts that are not empty.
func some(sep string, parts ...string) string {
	kept := parts[:0:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, sep)
}
