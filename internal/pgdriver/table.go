package pgdriver

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Sharing says which statements may share a connection.
type Sharing uint8

// What DB_PIPELINE may say.
const (
	ShareNone  Sharing = iota // off
	ShareReads                // reads
	ShareAll                  // all: also what changes data
)

// Reason is why a statement does not share a connection.
type Reason uint8

// The reasons, of which the first that applies is given.
const (
	Shares           Reason = iota // it does
	BecauseOff                     // DB_PIPELINE=off, or a session that cannot
	BecauseText                    // its text locks, waits, lives in the session or is not a query
	BecauseNew                     // it was not executed often enough yet
	BecauseNotSelect               // it is a query, and came back as something else
	BecauseSlow                    // it was slow lately
	BecauseLarge                   // it returned a large result lately
	BecauseNested                  // its caller holds a connection already
	BecauseArguments               // its arguments cannot be encoded beforehand, or are too large
	ReasonCount
)

// String returns the reason as metrics and status pages print it.
func (r Reason) String() string {
	return [...]string{"shared", "off", "text", "new", "not a query", "slow", "large result", "nested", "arguments"}[r]
}

// What makes a statement short, and its results small.
const (
	firstAlone = 3                      // executions before it may share
	slowAfter  = 10 * time.Millisecond  // of the server's time, at least, makes an execution slow
	shortUntil = 1 * time.Millisecond   // of the server's time keeps a statement short
	largeAfter = 64 << 10               // bytes, make a result large
	firstPause = 500 * time.Millisecond // without sharing, after a slow execution or a large result
	longPause  = 16 * time.Second       // the longest: the pause doubles with each relapse
	maxTracked = 16 << 10               // bytes of text: a longer statement is not remembered
	maxHalf    = 1024                   // statements in each half of the table
)

// Table remembers the statements of a pool: what their text says, and how they
// behaved lately. It holds a bounded number of them: two generations, of which
// the older is dropped when the younger is full. All its methods may be called
// concurrently.
type Table struct {
	sharing Sharing
	codecs  sync.Pool // of *codec
	start   time.Time
	floor   floor
	took    atomic.Int64 // how long runs take, smoothed
	usual   median       // of all executions
	waking  median       // of those that a session had to wake up for

	mu    sync.RWMutex // guards young and old
	young map[string]*Statement
	old   map[string]*Statement
}

// NewTable returns an empty table.
func NewTable(sharing Sharing) *Table {
	return &Table{sharing: sharing, start: time.Now(), young: make(map[string]*Statement)}
}

// Statement is what is known of one statement, by its text. Its figures are
// kept without a lock: a lost update does not matter.
type Statement struct {
	SQL  string
	Kind Kind

	table    *Table
	desc     atomic.Pointer[pgconn.StatementDescription] // as a server described it last
	seen     atomic.Uint32                               // executions without an error
	other    atomic.Bool                                 // its last command tag was not what its text promises
	cost     atomic.Int64                                // the server's time for one execution when nothing disturbs it
	heat     atomic.Int64                                // see warm
	timed    atomic.Uint32                               // executions that told its own time, since it last rested
	until    atomic.Int64                                // since Table.start: shares again
	pause    atomic.Int64                                // how long the last pause was
	oversize atomic.Bool                                 // the pause is because of a large result
}

// Lookup returns the statement of that text; nil when it is not remembered.
func (t *Table) Lookup(sql string) *Statement {
	if t.sharing == ShareNone || len(sql) > maxTracked {
		return nil
	}
	t.mu.RLock()
	st := t.young[sql]
	t.mu.RUnlock()
	if st != nil {
		return st
	}
	return t.remember(sql)
}

// remember moves the statement to the young generation, or begins to remember it.
func (t *Table) remember(sql string) *Statement {
	fresh := &Statement{SQL: sql, Kind: Classify(sql), table: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	if st := t.young[sql]; st != nil {
		return st
	}
	if st := t.old[sql]; st != nil {
		fresh = st
	}
	if len(t.young) >= maxHalf {
		t.old, t.young = t.young, make(map[string]*Statement)
	}
	t.young[sql] = fresh
	return fresh
}

// Len is how many statements the table remembers.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := len(t.young)
	for sql := range t.old {
		if t.young[sql] == nil {
			n++
		}
	}
	return n
}

// Why says whether the statement may share a connection now, and if not, why.
func (st *Statement) Why(now time.Time) Reason {
	switch {
	case st == nil || st.table.sharing == ShareNone:
		return BecauseOff
	case st.Kind == Alone, st.Kind == Writes && st.table.sharing != ShareAll:
		return BecauseText
	case st.other.Load():
		return BecauseNotSelect
	case int64(now.Sub(st.table.start)) < st.until.Load():
		if st.oversize.Load() {
			return BecauseLarge
		}
		return BecauseSlow
	case st.seen.Load() < firstAlone || st.desc.Load() == nil:
		return BecauseNew
	case st.Cost() > st.table.short():
		return BecauseSlow
	}
	return Shares
}

// IsUnlearned reports whether all that is missing for the statement to share is
// that a server describes it: see Link.Learn.
func (st *Statement) IsUnlearned(now time.Time) bool {
	return st.desc.Load() == nil && st.seen.Load() >= firstAlone && st.Why(now) == BecauseNew
}

// Cost is the time that the server takes for one execution, as far as is known.
func (st *Statement) Cost() time.Duration { return time.Duration(st.cost.Load()) }

// Repeatable reports whether the statement may be executed twice.
func (st *Statement) Repeatable() bool { return st.Kind == Plain }

// Described notes how a server described the statement.
func (st *Statement) Described(sd *pgconn.StatementDescription) {
	if st != nil {
		st.desc.Store(sd)
	}
}

// Forget makes the statement a new one: what was known of it is wrong.
func (st *Statement) Forget() {
	if st != nil {
		st.seen.Store(0)
		st.desc.Store(nil)
	}
}

// Execution is how one execution of a statement went.
type Execution struct {
	Took time.Duration     // of the server's time, as far as it can be told apart
	Size int               // of the result, in bytes
	Tag  pgconn.CommandTag // empty when it is not known

	// Woke says that the session had to wake up for it: what that takes, on a
	// machine that has other work, is in Took.
	Woke bool
}

// RanAlone notes an execution that did not share a connection, and which only the
// statement itself was part of; Took is from the moment it was sent to its end.
// The shortest of them tell the time that the network takes.
func (st *Statement) RanAlone(e Execution, now time.Time) {
	if st == nil {
		return
	}
	since := now.Sub(st.table.start)
	e.Took -= st.table.floor.lower(e.Took, since)
	e.Woke = true
	st.executed(e, since)
}

// RanShared notes an execution in a pipeline.
func (st *Statement) RanShared(e Execution, now time.Time) { st.executed(e, now.Sub(st.table.start)) }

func (st *Statement) executed(e Execution, since time.Duration) {
	if e.Tag.String() != "" {
		st.other.Store(st.Kind >= Reads && !e.Tag.Select())
	}
	e.Took = max(0, e.Took)
	switch {
	case e.Size > largeAfter:
		st.rest(since, true)
	case e.Woke && st.timed.Load() >= wellTimed:
		st.wokeFor(e.Took)
	case e.Took > st.table.slow():
		st.warm(since, e.Took)
	default:
		st.seen.Add(1)
		st.cool()
		st.weigh(int64(e.Took))
	}
	if e.Woke {
		st.table.waking.adjust(e.Took)
	} else {
		st.timed.Add(1)
	}
	st.table.usual.adjust(e.Took)
}

// wokeFor notes an execution whose session had to wake up for it, of a statement
// whose own time is known better. It counts when it was shorter, or much longer
// than is usual for all such executions.
func (st *Statement) wokeFor(took time.Duration) {
	st.seen.Add(1)
	if took < st.Cost() || took > max(slowAfter, 8*st.table.waking.get()) {
		st.weigh(int64(took))
	}
}

// wellTimed is how many executions behind others tell a statement's own time. An
// execution that a session has to wake up for says less: where the machines are
// busy that alone takes longer than most statements, and a statement that ran
// alone for it would only make them busier.
const wellTimed = 16

// The heat of a statement rises with each slow execution and falls with each
// other: more than one slow in heatOfSlow, for a while, is too many. Fewer may be
// the machine's, and those who stand behind one do not wait for long; see Run.
const (
	heatOfSlow = 16
	tooHot     = 8 * heatOfSlow
	verySlow   = 20 // times what makes an execution slow: counts four times
)

func (st *Statement) warm(since, took time.Duration) {
	if int64(since) < st.until.Load() {
		return // it rests
	}
	heat := int64(heatOfSlow)
	if took > verySlow*st.table.slow() {
		heat *= 4
	}
	if st.heat.Add(heat) > tooHot {
		st.rest(since, false)
	}
}

func (st *Statement) cool() {
	if st.heat.Load() > 0 {
		st.heat.Add(-1)
	}
}

// weigh takes one more time into account. What disturbs an execution, above all
// other work on the same machines, makes it longer: so the cost follows the
// shorter times quickly and the longer ones slowly.
func (st *Statement) weigh(took int64) {
	const down, up = 4, 64
	cost := st.cost.Load()
	switch {
	case st.seen.Load() <= 1:
		cost = took
	case took < cost:
		cost -= (cost - took) / down
	default:
		cost += (took - cost) / up
	}
	st.cost.Store(cost)
}

// median is about the median of what executions took lately. Where the machines
// are so busy that everything takes its time, that is no reason to call a
// statement slow.
type median struct{ value, seen atomic.Int64 }

func (m *median) get() time.Duration { return time.Duration(m.value.Load()) }

// adjust moves the median a little towards what an execution took.
func (m *median) adjust(took time.Duration) {
	const step, least = 16, int64(10 * time.Microsecond)
	value := max(m.value.Load(), least)
	switch n := m.seen.Add(1); {
	case n <= step:
		value += (int64(took) - value) / n // it begins with the average
	case int64(took) > value:
		value += value / step
	default:
		value -= value / step
	}
	m.value.Store(value)
}

// slow is what makes an execution slow, and short what keeps a statement short.
func (t *Table) slow() time.Duration  { return max(slowAfter, 8*t.usual.get()) }
func (t *Table) short() time.Duration { return max(shortUntil, t.usual.get()/2) }

// Slow notes that the statement is slow, before it has ended, after a time.
func (st *Statement) Slow(took time.Duration, now time.Time) {
	st.warm(now.Sub(st.table.start), took)
}

// rest has the statement share no connection for a while, and then be new
// again. The while doubles when the statement relapses soon after it.
func (st *Statement) rest(since time.Duration, oversize bool) {
	until, pause := st.until.Load(), st.pause.Load()
	if int64(since) < until {
		return
	}
	switch {
	case until == 0 || int64(since) > until+4*pause:
		pause = int64(firstPause)
	default:
		pause = min(2*pause, int64(longPause))
	}
	st.oversize.Store(oversize)
	st.pause.Store(pause)
	st.until.Store(int64(since) + pause)
	st.seen.Store(0)
	st.heat.Store(0)
	st.timed.Store(0)
}

// Floor is the least time that a statement took lately, the network's part of it.
func (t *Table) Floor() time.Duration { return t.floor.get(time.Since(t.start)) }

// grace is how much longer than expected the answers of a run may take. Where
// the machine is so busy that every run takes its time, more is normal: to
// execute statements twice then would be the wrong answer.
func (t *Table) grace() time.Duration { return max(overrunGrace, 8*time.Duration(t.took.Load())) }

// ran notes how long a run took.
func (t *Table) ran(took time.Duration) {
	const weight = 16
	before := t.took.Load()
	t.took.Store(before + (int64(min(took, time.Second))-before)/weight)
}

// floor is a rolling minimum over the last ten to twenty seconds.
type floor struct {
	mu         sync.Mutex // guards all below
	began      time.Duration
	last, this time.Duration // 0: nothing was seen
}

const floorWindow = 10 * time.Second

// lower takes a time in and returns the minimum.
func (f *floor) lower(took, since time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turnLocked(since)
	if f.this == 0 || took < f.this {
		f.this = max(1, took)
	}
	return f.minLocked()
}

func (f *floor) get(since time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turnLocked(since)
	return f.minLocked()
}

// turnLocked begins a new window when the present one is over.
func (f *floor) turnLocked(since time.Duration) {
	if since-f.began < floorWindow {
		return
	}
	f.last, f.this = f.this, 0
	if since-f.began >= 2*floorWindow {
		f.last = 0
	}
	f.began = since
}

func (f *floor) minLocked() time.Duration {
	if f.last == 0 || f.this != 0 && f.this < f.last {
		return f.this
	}
	return f.last
}
