package pgdriver

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// tableAt is a table whose clock the test has in hand.
type tableAt struct {
	*Table
	now time.Time
}

func newTableAt(s Sharing) *tableAt {
	t := NewTable(s)
	return &tableAt{t, t.start}
}

func (t *tableAt) pass(d time.Duration) { t.now = t.now.Add(d) }

// alone notes executions that took so long, the network's 500 µs besides.
func (t *tableAt) alone(sql string, n int, took time.Duration) *Statement {
	st := t.Lookup(sql)
	for range n {
		t.pass(time.Millisecond)
		st.RanAlone(Execution{Took: took + 500*time.Microsecond}, t.now)
	}
	if st.desc.Load() == nil {
		st.Described(&pgconn.StatementDescription{SQL: sql})
	}
	return st
}

func (t *tableAt) want(tt *testing.T, st *Statement, why Reason) {
	tt.Helper()
	if got := st.Why(t.now); got != why {
		tt.Errorf("%s: %s, want %s", st.SQL, got, why)
	}
}

func TestTableLearns(tt *testing.T) {
	t := newTableAt(ShareReads)
	t.alone("select 0", 10, 0) // what the network takes
	st := t.alone("select 1", firstAlone-1, 100*time.Microsecond)
	t.want(tt, st, BecauseNew)
	t.alone("select 1", 1, 100*time.Microsecond)
	t.want(tt, st, Shares)
	if c := st.Cost(); c < 90*time.Microsecond || c > 110*time.Microsecond {
		tt.Errorf("costs %s", c)
	}
	st.Forget()
	t.want(tt, st, BecauseNew)
	t.want(tt, t.alone("select pg_sleep(1)", 5, 0), BecauseText)
	t.want(tt, t.alone("insert into t values (1)", 5, 0), BecauseText)
	all := newTableAt(ShareAll)
	all.want(tt, all.alone("insert into t values (1)", 5, 0), Shares)
	if NewTable(ShareNone).Lookup("select 1") != nil || t.Lookup("select '"+strings.Repeat("x", maxTracked)+"'") != nil {
		tt.Error("remembered")
	}
	if why := (*Statement)(nil).Why(t.now); why != BecauseOff {
		tt.Error(why)
	}
}

// A statement that takes its time does not share, whatever the noise around it.
func TestTableSlow(tt *testing.T) {
	t := newTableAt(ShareReads)
	short := t.alone("select short", 100, 100*time.Microsecond)
	slow := t.alone("select slow", 100, 5*time.Millisecond)
	t.want(tt, short, Shares)
	t.want(tt, slow, BecauseSlow)
	for range 20 {
		t.alone("select short", 99, 100*time.Microsecond)
		t.alone("select short", 1, 50*time.Millisecond) // the machine's, once in a hundred times
	}
	t.want(tt, short, Shares)
	for range 30 {
		t.alone("select short", 9, 100*time.Microsecond)
		t.alone("select short", 1, 50*time.Millisecond) // its own: once in ten times
	}
	t.want(tt, short, BecauseSlow)
	t.pass(longPause)
	t.alone("select short", 50, 100*time.Microsecond)
	t.want(tt, short, Shares)
}

// Where everything takes its time, a statement may share that takes as long.
func TestTableBusyMachine(tt *testing.T) {
	t := newTableAt(ShareReads)
	t.alone("select 0", 10, 0)
	for i := range 300 {
		t.alone(fmt.Sprint("select ", i%3), 1, time.Duration(1+i%20)*time.Millisecond)
	}
	t.want(tt, t.Lookup("select 1"), Shares)
}

// A large result, or another command tag than the text promises, ends the
// sharing; the pause doubles with each relapse.
func TestTableRests(tt *testing.T) {
	t := newTableAt(ShareReads)
	st := t.alone("select 1", 5, 0)
	for pause := firstPause; pause <= 4*firstPause; pause *= 2 {
		st.RanShared(Execution{Size: largeAfter + 1}, t.now)
		t.want(tt, st, BecauseLarge)
		t.pass(pause)
		t.want(tt, st, BecauseNew)
		t.alone("select 1", firstAlone, 0)
		t.want(tt, st, Shares)
	}
	st.RanShared(Execution{Tag: pgconn.NewCommandTag("INSERT 0 1")}, t.now)
	t.want(tt, st, BecauseNotSelect)
}

func TestTableIsBounded(tt *testing.T) {
	t := newTableAt(ShareReads)
	kept := t.Lookup("select 'kept'")
	for i := range 10 * maxHalf {
		t.Lookup(fmt.Sprint("select ", i))
		if i%100 == 0 && t.Lookup("select 'kept'") != kept {
			tt.Fatal("a statement that is in use was forgotten")
		}
	}
	if n := t.Len(); n > 2*maxHalf {
		tt.Errorf("%d statements", n)
	}
}

// The time of the network follows its changes within twenty seconds.
func TestTableFloor(tt *testing.T) {
	t := newTableAt(ShareReads)
	st := t.Lookup("select 1")
	at := func(took time.Duration) time.Duration {
		st.RanAlone(Execution{Took: took}, t.now)
		return t.floor.get(t.now.Sub(t.start))
	}
	if f := at(time.Millisecond); f != time.Millisecond {
		tt.Error(f)
	}
	if f := at(3 * time.Millisecond); f != time.Millisecond {
		tt.Error(f)
	}
	t.pass(floorWindow)
	if f := at(3 * time.Millisecond); f != time.Millisecond {
		tt.Error(f)
	}
	t.pass(floorWindow)
	if f := at(4 * time.Millisecond); f != 3*time.Millisecond {
		tt.Error(f)
	}
}

// Sessions that have to wake up for a statement, on a machine that is busy, do not
// make it slow while it is as short as ever behind others; what is slow there is.
func TestTableBusyWaking(tt *testing.T) {
	t := newTableAt(ShareReads)
	t.alone("select 0", 10, 0)
	st := t.alone("select 1", firstAlone, 100*time.Microsecond)
	shared := func(took time.Duration, woke bool) {
		t.pass(time.Millisecond)
		st.RanShared(Execution{Took: took, Woke: woke}, t.now)
	}
	for range wellTimed {
		shared(20*time.Microsecond, false)
	}
	for i := range 300 {
		t.alone("select 1", 1, time.Duration(1+i%20)*time.Millisecond)
		shared(time.Duration(1+i%30)*time.Millisecond, true)
		shared(20*time.Microsecond, false)
		if i >= 100 { // by then it is known how long that takes
			t.want(tt, st, Shares)
		}
	}
	if c := st.Cost(); c > 100*time.Microsecond {
		tt.Errorf("costs %s", c)
	}
	for range 300 {
		shared(50*time.Millisecond, false)
	}
	t.want(tt, st, BecauseSlow)
}
