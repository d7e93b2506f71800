package gate

import (
	"slices"
	"time"
)

// forecast knows how quickly requests give their connections back, and predicts
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
// nothing comes back. But a stall that has lasted for half a second does not tell
// that it will last for half a minute: see farsight.
//
// It looks at the request lane alone. All fields are guarded by Gate.mu.
type forecast struct {
	held    int                         // connections held by requests since at
	at      time.Time                   // when busy was last brought up to date
	busy    time.Duration               // connection-seconds held by requests since the beginning
	last    time.Time                   // the latest return
	count   uint64                      // returns since the beginning, and answers that shared one
	returns [forecastRing]time.Duration // busy at each of the last

	formed  time.Duration // busy when the present queue formed
	formedN uint64        // count at that moment

	holds        [forecastTypical]time.Duration // the last ones, one for each return
	holdCount    uint64
	typical      time.Duration // their median
	typicalKnown bool          // typical is up to date
}

const (
	// forecastRing is how many returns are remembered. A longer queue is predicted
	// from these.
	forecastRing = 512

	// forecastTypical is over how many holds the typical one is the median: enough
	// for one slow one not to matter, few enough to follow a change.
	forecastTypical = 15

	// farsight is how many times as long as a queue has stood there it is predicted to
	// stand there still, when less has come back than stands in it and the typical hold
	// does not say so: a lock that is held for a second turns nobody away who has
	// thirty, a server that answers nobody does so after four.
	farsight = 8

	// forecastMemory is for how long the typical hold is believed when nothing
	// comes back.
	forecastMemory = 10 * time.Second
)

// granted notes that one more request holds a connection.
func (f *forecast) granted(now time.Time) {
	f.advance(now)
	f.held++
}

// returned notes that a request gave a connection back after hold.
func (f *forecast) returned(now time.Time, hold time.Duration) {
	f.advance(now)
	f.held--
	f.holds[f.holdCount%forecastTypical] = hold
	f.holdCount++
	f.last = now
	f.typicalKnown = false
	f.answered(1)
}

// answered notes that n requests were answered on the connection that was given back
// just now.
func (f *forecast) answered(n int) {
	for range n {
		f.returns[f.count%forecastRing] = f.busy
		f.count++
	}
}

// dropped notes that a request lost its connection before it had any use of it.
func (f *forecast) dropped(now time.Time) {
	f.advance(now)
	f.held--
}

func (f *forecast) advance(now time.Time) {
	f.busy = f.busyAt(now)
	f.at = now
}

func (f *forecast) busyAt(now time.Time) time.Duration {
	return f.busy + time.Duration(f.held)*now.Sub(f.at)
}

// queueForms notes that a request finds every connection in use and nobody waiting.
func (f *forecast) queueForms(now time.Time) {
	f.formed, f.formedN = f.busyAt(now), f.count
}

// wait predicts how long a newcomer waits that has ahead requests before it
// when capacity connections serve them; 0 when nothing is known.
func (f *forecast) wait(now time.Time, ahead, capacity int) time.Duration {
	if capacity <= 0 {
		return 0
	}
	n := min(max(ahead+1, capacity), forecastRing-1)
	turns := func(cost time.Duration) time.Duration {
		return time.Duration(ahead+1) * cost / time.Duration(capacity)
	}
	seen := int(min(f.count-f.formedN, forecastRing))
	if seen > n {
		since := f.returns[(f.count-1-uint64(n))%forecastRing]
		return turns((f.busyAt(now) - since) / time.Duration(n))
	}
	unseen := max(0, capacity-seen)
	usual, stood := f.usual(now), f.busyAt(now)-f.formed
	wait := turns((stood + time.Duration(unseen)*usual) / time.Duration(seen+unseen))
	return min(wait, max(turns(usual), farsight*stood/time.Duration(capacity)))
}

// usual is the typical hold: the median of the last few; 0 when nothing is
// known, or too long ago.
func (f *forecast) usual(now time.Time) time.Duration {
	if f.count == 0 || now.Sub(f.last) > forecastMemory {
		return 0
	}
	if !f.typicalKnown {
		f.typical, f.typicalKnown = f.median(), true
	}
	return f.typical
}

func (f *forecast) median() time.Duration {
	n := min(f.holdCount, forecastTypical)
	holds := f.holds
	slices.Sort(holds[:n])
	return holds[(n-1)/2]
}
