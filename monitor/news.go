package monitor

import (
	"fmt"
	"log/slog"
	"math"
	"time"
)

// news is a log line that waits for the lock to be let go.
type news struct {
	level   slog.Level
	message string
	attrs   []any
}

// newsdesk collects what one check found.
type newsdesk struct {
	at     time.Time
	events *eventRing
	toLog  []news
}

// note adds an event that is not logged here.
func (n *newsdesk) note(kind EventKind, sev Severity, message string) {
	n.events.add(n.at, kind, sev, message)
}

// warn adds an event and a warning to log: words for the log, which has its
// figures in attrs, and the sentence for people.
func (n *newsdesk) warn(kind EventKind, words, sentence string, attrs ...any) {
	n.note(kind, SeverityWarning, sentence)
	n.toLog = append(n.toLog, news{slog.LevelWarn, words, attrs})
}

// alert adds an event and an error to log.
func (n *newsdesk) alert(kind EventKind, words, sentence string, attrs ...any) {
	n.note(kind, SeverityCritical, sentence)
	n.toLog = append(n.toLog, news{slog.LevelError, words, attrs})
}

// clear adds an all-clear.
func (n *newsdesk) clear(kind EventKind, words, sentence string, attrs ...any) {
	n.note(kind, SeverityInfo, sentence)
	n.toLog = append(n.toLog, news{slog.LevelInfo, words, attrs})
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
