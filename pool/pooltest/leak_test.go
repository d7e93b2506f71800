package pooltest

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/pool"
)

// fakeTB notes what a test would be told.
type fakeTB struct {
	cleanups []func()
	failures []string
}

func (*fakeTB) Helper()             {}
func (f *fakeTB) Cleanup(c func())  { f.cleanups = append(f.cleanups, c) }
func (f *fakeTB) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
func (f *fakeTB) Errorf(format string, a ...any) {
	f.failures = append(f.failures, fmt.Sprintf(format, a...))
}

// end is the end of the test.
func (f *fakeTB) end() {
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		f.cleanups[i]()
	}
}

var _ TB = testing.TB(nil)

// one answers every query with a row of one column.
func one(string, []any) (Answer, error) {
	return Answer{Columns: []string{"id"}, Rows: [][]driver.Value{{int64(7)}}}, nil
}

func TestFailOnLeakNamesTheHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := &fakeTB{}
		p, _ := NewFake(tb, one)
		tx, err := p.BeginTx(pool.ContextWithName(t.Context(), "GET /report"), nil)
		if err != nil {
			t.Fatal(err)
		}
		check := tb.cleanups[len(tb.cleanups)-1]
		check()
		if len(tb.failures) != 1 {
			t.Fatalf("%q", tb.failures)
		}
		got := tb.failures[0]
		if !strings.HasPrefix(got, `pool "fake": a connection was not given back: 1s by pool`) || !strings.Contains(got, "(GET /report)") ||
			!strings.Contains(got, "leak_test.go:") || strings.Count(got, "\n\t") < 1 {
			t.Errorf("%s", got)
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		tb.end()
	})
}

func TestFailOnLeakIsQuietWhenAllCameBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := &fakeTB{}
		p, _ := NewFake(tb, one)
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		if _, err := p.BeginTx(ctx, nil); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		tb.end() // its connection comes back by itself, a little later
		if took := time.Since(started); len(tb.failures) != 0 || took < 900*time.Millisecond || took > leakGrace {
			t.Errorf("%q after %s", tb.failures, took)
		}
	})
}
