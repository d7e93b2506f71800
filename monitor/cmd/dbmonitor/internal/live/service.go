package live

import (
	"time"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// service is what is known of one service.
type service struct {
	given   string // its address, as it is called until it says its name
	fetcher Fetcher
	asking  bool // an answer is on its way
	heard   bool // there has been an answer, or word that there is none

	snap    source.Snapshot          // the last answer
	verdict report.Verdict           // on it
	health  *statusjson.HealthReport // the last there was, however long ago
	status  *statusjson.Status       // likewise
	goneAt  time.Time                // since when there is no answer; zero while there is

	rates rates
	past  past
}

// rates are counters per second, between the last two answers.
type rates struct {
	known                    bool
	served, timedOut, shed   float64
	opened, closed, dialFail float64
}

func newService(s Service) *service { return &service{given: s.Name, fetcher: s.Fetcher} }

// take makes an answer the present one.
func (s *service) take(snap source.Snapshot) {
	s.asking = false
	s.heard = true
	s.snap, s.verdict = snap, report.Judge(snap)
	if snap.Failure != nil {
		if s.goneAt.IsZero() {
			s.goneAt = snap.At
		}
		return
	}
	s.goneAt = time.Time{}
	if snap.Status != nil {
		s.rates = ratesBetween(s.status, snap.Status)
	}
	s.health, s.status = snap.Health, snap.Status
	s.past.take(snap)
}

// name is what the service calls its pool, or its address.
func (s *service) name() string {
	switch {
	case s.health != nil && s.health.Name != "":
		return s.health.Name
	default:
		return s.given
	}
}

func ratesBetween(was, now *statusjson.Status) rates {
	if was == nil {
		return rates{}
	}
	d := now.At.Sub(was.At).Seconds()
	per := func(before, after uint64) float64 { return float64(after-before) / d }
	if d <= 0 || now.Queue.AcquiredCount < was.Queue.AcquiredCount || now.Connections.OpenedCount < was.Connections.OpenedCount {
		return rates{} // the service was restarted
	}
	return rates{
		known:    true,
		served:   per(was.Queue.AcquiredCount, now.Queue.AcquiredCount),
		timedOut: per(was.Queue.TimedOutCount, now.Queue.TimedOutCount),
		shed:     per(was.Queue.ShedCount, now.Queue.ShedCount),
		opened:   per(was.Connections.OpenedCount, now.Connections.OpenedCount),
		closed:   per(was.Connections.ClosedCount, now.Connections.ClosedCount),
		dialFail: per(was.Connections.DialErrorCount, now.Connections.DialErrorCount),
	}
}
