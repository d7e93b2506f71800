package monitor

import (
	"errors"
	"sync"

	"github.com/dbpool-go/dbpool/pool"
)

// selfLoad keeps the monitor's own waiting from being taken for callers': a probe
// that times out is counted by the pool like anybody. The zero value is ready.
type selfLoad struct {
	mu   sync.Mutex // guards everything below
	late ledger
	shed ledger
}

// do runs work that asks the pool for a connection.
func (o *selfLoad) do(work func() error) error {
	o.mu.Lock()
	o.late.underWay++
	o.shed.underWay++
	o.mu.Unlock()
	err := work()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.late.end(errors.Is(err, pool.ErrPoolTimeout))
	o.shed.end(errors.Is(err, pool.ErrOverloaded))
	return err
}

// others returns how much of what the pool's counters rose by is not our own.
func (o *selfLoad) others(late, shed uint64) (uint64, uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.late.others(late), o.shed.others(shed)
}

// ledger matches our own failures with what the pool counted, whichever is seen
// first. It never owes or is owed anything while none of our work is under way,
// so that a failure the pool did not count cannot hide a caller's.
type ledger struct {
	underWay uint64
	owed     uint64 // failures of ours that the counter has yet to show
	ahead    uint64 // counted already, of what is under way
}

func (l *ledger) end(failed bool) {
	l.underWay--
	switch {
	case l.ahead > 0:
		l.ahead--
	case failed:
		l.owed++
	}
}

func (l *ledger) others(rise uint64) uint64 {
	n := min(rise, l.owed)
	l.owed -= n
	rise -= n
	n = min(rise, l.underWay-l.ahead)
	l.ahead += n
	if l.underWay == 0 {
		l.owed = 0
	}
	return rise - n
}
