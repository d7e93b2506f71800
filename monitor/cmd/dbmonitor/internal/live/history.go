package live

import (
	"math"
	"time"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// kept is how many moments are remembered: more than the longest window needs.
const kept = 2000

// moment is one point of the charts.
type moment struct {
	at      float64 // Unix seconds by the service's clock
	inUse   float64
	waiting float64
	served  float64 // per second; NaN when unknown
	p95     float64 // of the waits, in seconds; NaN when nobody was served
}

// past is what the charts show: the service's own history where it keeps one,
// else what this view has seen.
type past struct {
	moments []moment
	next    int64 // what to ask for next time; see monitor.History
}

func (p *past) take(s source.Snapshot) {
	if s.Status != nil && s.Status.History != nil {
		p.next = int64(min(s.Status.History.Next, math.MaxInt64))
		p.takeHistory(s.Status.History)
		if s.Status.Monitoring == statusjson.MonitoringOn {
			return
		}
	}
	h := s.Health
	p.add(moment{at: unix(h.At), inUse: float64(h.InUse), waiting: float64(h.Waiting), served: math.NaN(), p95: math.NaN()})
}

// takeHistory adds the columns as far as all of them reach.
func (p *past) takeHistory(h *statusjson.History) {
	n := min(len(h.At), len(h.InUse), len(h.Waiting), len(h.Acquired), len(h.WaitP95))
	for i := range n {
		m := moment{at: h.At[i], inUse: float64(h.InUse[i]), waiting: float64(h.Waiting[i]), served: math.NaN(), p95: math.NaN()}
		if h.StepSeconds > 0 {
			m.served = float64(h.Acquired[i]) / h.StepSeconds
		}
		if h.Acquired[i] > 0 {
			m.p95 = h.WaitP95[i]
		}
		p.add(m)
	}
}

// add keeps a moment that is later than all before.
func (p *past) add(m moment) {
	if n := len(p.moments); n > 0 && m.at <= p.moments[n-1].at {
		return
	}
	p.moments = append(p.moments, m)
	if len(p.moments) >= 2*kept {
		p.moments = append(p.moments[:0], p.moments[len(p.moments)-kept:]...)
	}
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// columns spreads what get reads over so many columns that end at the latest
// moment and span window. Each holds the most seen in it; NaN where nothing is
// known. Columns start at multiples of their width, so that the picture moves
// by whole columns and keeps its shape.
func (p *past) columns(get func(moment) float64, window time.Duration, n int) []float64 {
	cols := make([]float64, n)
	for i := range cols {
		cols[i] = math.NaN()
	}
	if len(p.moments) == 0 || n == 0 {
		return cols
	}
	width := max(window.Seconds()/float64(n), 0.1)
	end := math.Floor(p.moments[len(p.moments)-1].at / width)
	for i := len(p.moments) - 1; i >= 0; i-- {
		back := end - math.Floor(p.moments[i].at/width)
		if !(back < float64(n)) {
			break
		}
		col := n - 1 - int(max(back, 0))
		if v := get(p.moments[i]); !math.IsNaN(v) && !(cols[col] >= v) {
			cols[col] = v
		}
	}
	return bridge(cols, p.step()/width)
}

// within is the window to draw when at most so much is wanted: a shorter one
// while there is no more to show.
func (p *past) within(most time.Duration) time.Duration {
	if len(p.moments) == 0 {
		return most
	}
	span := p.moments[len(p.moments)-1].at - p.moments[0].at
	for _, w := range append([]time.Duration{time.Minute}, windows[:]...) {
		if w <= most && span <= w.Seconds() {
			return w
		}
	}
	return most
}

// step is the usual time between two moments, 0 when there are none.
func (p *past) step() float64 {
	n := len(p.moments)
	if n < 2 {
		return 0
	}
	m := max(n-10, 0)
	return (p.moments[n-1].at - p.moments[m].at) / float64(n-1-m)
}

// bridge fills the gaps that arise because moments are further apart than
// columns are wide; a longer one is a real gap and stays.
func bridge(cols []float64, perMoment float64) []float64 {
	longest, gap := int(perMoment*2), 0
	last := math.NaN()
	for i, v := range cols {
		switch {
		case !math.IsNaN(v):
			last, gap = v, 0
		case gap < longest:
			gap++
			cols[i] = last
		}
	}
	return cols
}
