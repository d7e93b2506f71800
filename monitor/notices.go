package monitor

import (
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/dbpool-go/dbpool/internal/flap"
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

// note adds an event that is not logged here.
func (n *notices) note(kind statusjson.EventKind, sev statusjson.Severity, message string) {
	n.events.add(n.at, kind, "", sev, message)
}

// came adds the event of something that comes and goes, of which several of a kind
// flap apart by topic, and the line if it is to be told: the sentence for people, and
// words for the log, which has the figures in attrs.
func (n *notices) came(t flap.Turn, level slog.Level, kind statusjson.EventKind, topic, words, sentence string, attrs ...any) {
	if t.News {
		n.events.add(n.at, kind, topic, severityOf(level), sentence)
	}
	if t.Tell {
		n.line(level, words, t.Attrs(attrs...))
	}
}

func severityOf(level slog.Level) statusjson.Severity {
	if level >= slog.LevelError {
		return statusjson.SeverityCritical
	}
	return statusjson.SeverityWarning
}

// went adds its all-clear.
func (n *notices) went(t flap.Turn, kind statusjson.EventKind, topic, words, sentence string, attrs ...any) {
	n.events.add(n.at, kind, topic, statusjson.SeverityInfo, sentence)
	if t.Tell {
		n.line(slog.LevelInfo, words, attrs)
	}
}

func (n *notices) line(level slog.Level, words string, attrs []any) {
	n.toLog = append(n.toLog, notice{level, words, attrs})
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
