package gate

import (
	"slices"
	"time"
)

// pace knows how quickly requests give their connections back, and predicts
// from it how long a queue will take.
//
// While requests wait, every connection they may have is in use, and how long
// the last n returns took is how long the next n will take: with holders of
// 1 ms and of 1 s mixed, whatever they hold connections for. So the prediction
// for a queue of n looks back over n returns. A short queue looks back a short
// time and follows a change at once; a long one averages over as long a time as
// it is about. Time counts in connection-seconds, so that a change of the limit
// changes the prediction with it.
//
// What happened before the queue formed says less: connections lay idle then.
// Of that time only the typical hold is used, and only until as many returns
// have been seen as there are connections. So an old estimate never outlives
// the first look at the present, and a stall shows at once: time passes, and
// nothing comes back.
//
// It looks at the request lane alone. All fields are guarded by gate.mu.
type pace struct {
	held    int           // connections held by requests since at
	at      time.Time     // when busy was last brought up to date
	busy    time.Duration // connection-seconds held by requests since the beginning
	last    time.Time     // the latest return
	count   uint64        // returns since the beginning
	returns [paceRing]comeback

	formed  comeback // the moment at which the present queue formed
	formedN uint64   // count at that moment

	typical      time.Duration // the median of recent holds
	typicalKnown bool          // typical is up to date
}

// comeback is what is remembered of one return.
type comeback struct {
	busy time.Duration // pace.busy at that moment
	hold time.Duration // how long this connection was held
}

const (
	// paceRing is how many returns are remembered. A longer queue is predicted
	// from these.
	paceRing = 512

	// paceTypical is over how many holds the typical one is the median: enough
	// for one slow one not to matter, few enough to follow a change.
	paceTypical = 15

	// paceMemory is for how long the typical hold is believed when nothing
	// comes back.
	paceMemory = 10 * time.Second
)

// granted notes that one more request holds a connection.
func (p *pace) granted(now time.Time) {
	p.advance(now)
	p.held++
}

// returned notes that a request gave a connection back after hold.
func (p *pace) returned(now time.Time, hold time.Duration) {
	p.advance(now)
	p.held--
	p.returns[p.count%paceRing] = comeback{busy: p.busy, hold: hold}
	p.count++
	p.last = now
	p.typicalKnown = false
}

// answered notes that n more requests were answered on the connection that was
// given back just now.
func (p *pace) answered(n int, hold time.Duration) {
	for range n {
		p.returns[p.count%paceRing] = comeback{busy: p.busy, hold: hold}
		p.count++
	}
}

// dropped notes that a request lost its connection before it had any use of it.
func (p *pace) dropped(now time.Time) {
	p.advance(now)
	p.held--
}

func (p *pace) advance(now time.Time) {
	p.busy = p.busyAt(now)
	p.at = now
}

func (p *pace) busyAt(now time.Time) time.Duration {
	return p.busy + time.Duration(p.held)*now.Sub(p.at)
}

// queueForms notes that a request finds every connection in use and nobody waiting.
func (p *pace) queueForms(now time.Time) {
	p.formed.busy, p.formedN = p.busyAt(now), p.count
}

// wait predicts how long a newcomer waits that has ahead requests before it
// when capacity connections serve them; 0 when nothing is known.
func (p *pace) wait(now time.Time, ahead, capacity int) time.Duration {
	if capacity <= 0 {
		return 0
	}
	n := min(max(ahead+1, capacity), paceRing-1)
	return time.Duration(ahead+1) * p.cost(now, n, capacity) / time.Duration(capacity)
}

// cost is the connection-seconds that one return took of late, judged by the
// last n of them, or by fewer while the queue is young.
func (p *pace) cost(now time.Time, n, capacity int) time.Duration {
	seen := int(min(p.count-p.formedN, paceRing))
	if seen > n {
		since := p.returns[(p.count-1-uint64(n))%paceRing].busy
		return (p.busyAt(now) - since) / time.Duration(n)
	}
	unseen := max(0, capacity-seen)
	took := p.busyAt(now) - p.formed.busy + time.Duration(unseen)*p.usual(now)
	return took / time.Duration(seen+unseen)
}

// usual is the typical hold: the median of the last few; 0 when nothing is
// known, or too long ago.
func (p *pace) usual(now time.Time) time.Duration {
	if p.count == 0 || now.Sub(p.last) > paceMemory {
		return 0
	}
	if !p.typicalKnown {
		p.typical, p.typicalKnown = p.median(), true
	}
	return p.typical
}

func (p *pace) median() time.Duration {
	var holds [paceTypical]time.Duration
	n := min(p.count, paceTypical)
	for i := range n {
		holds[i] = p.returns[(p.count-1-i)%paceRing].hold
	}
	slices.Sort(holds[:n])
	return holds[(n-1)/2]
}
