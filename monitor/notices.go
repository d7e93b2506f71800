package monitor

import (
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// notice is a log line that waits for the lock to be let go.
type notice struct {
	level   slog.Level
	message string
	attrs   []any
}

// notices collects what one check found.
type notices struct {
	at     time.Time
	events *eventRing
	toLog  []notice
}

// note adds an event that is not logged here, and reports whether it flaps.
func (n *notices) note(kind statusjson.EventKind, sev statusjson.Severity, message string) (again bool) {
	return n.events.add(n.at, kind, "", sev, message)
}

// warn adds an event and a warning to log: words for the log, which has its
// figures in attrs, and the sentence for people.
func (n *notices) warn(kind statusjson.EventKind, words, sentence string, attrs ...any) {
	n.warnAbout("", kind, words, sentence, attrs...)
}

// warnAbout is warn for one of several things that flap apart.
func (n *notices) warnAbout(topic string, kind statusjson.EventKind, words, sentence string, attrs ...any) {
	if n.events.add(n.at, kind, topic, statusjson.SeverityWarning, sentence) {
		return // the log has it, and a count would not change what it says
	}
	n.toLog = append(n.toLog, notice{slog.LevelWarn, words, attrs})
}

// alert adds an event and an error to log.
func (n *notices) alert(kind statusjson.EventKind, words, sentence string, attrs ...any) {
	n.note(kind, statusjson.SeverityCritical, sentence)
	n.toLog = append(n.toLog, notice{slog.LevelError, words, attrs})
}

// clear adds an all-clear.
func (n *notices) clear(kind statusjson.EventKind, words, sentence string, attrs ...any) {
	if n.note(kind, statusjson.SeverityInfo, sentence) {
		return
	}
	n.toLog = append(n.toLog, notice{slog.LevelInfo, words, attrs})
}

func round(f float64) float64 { return math.Round(f*10) / 10 }

// short prints a duration with as many digits as people want.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(10 * time.Microsecond).String()
	}
}

func count(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
