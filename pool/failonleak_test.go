package pool

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fakeTB notes what a test would be told.
type fakeTB struct {
	cleanups []func()
	failures []string
}

func (*fakeTB) Helper()            {}
func (f *fakeTB) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }
func (f *fakeTB) Errorf(format string, a ...any) {
	f.failures = append(f.failures, fmt.Sprintf(format, a...))
}

// end is the end of the test.
func (f *fakeTB) end() {
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		f.cleanups[i]()
	}
}

var (
	_ TB = (*fakeTB)(nil)
	_ TB = testing.TB(nil)
)

func TestFailOnLeakNamesTheHolders(t *testing.T) {
	inWire(t, orders(3, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		tb := &fakeTB{}
		p.FailOnLeak(tb)
		rows := forgetRows(t, p)
		defer rows.Close()
		tx, err := p.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		tb.end()
		if len(tb.failures) != 2 {
			t.Fatalf("%q", tb.failures)
		}
		for i, want := range []string{"(GET /report), rows open\n", ", idle in transaction\n"} {
			got := tb.failures[i]
			if !strings.HasPrefix(got, `pool "orders": a connection was not given back: 1s by pool/`) || !strings.Contains(got, want) ||
				!strings.Contains(got, "_test.go:") || strings.Count(got, "\n\t") < 2 {
				t.Errorf("%s", got)
			}
		}
	})
}

func TestFailOnLeakIsQuietWhenAllCameBack(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		tb := &fakeTB{}
		p.FailOnLeak(tb)
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := p.BeginTx(ctx, nil); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = p.ExecContext(t.Context(), "sleep 900ms") }()
		synctest.Wait()
		started := time.Now()
		cancel() // its connection comes back by itself, a little later
		tb.end()
		if len(tb.failures) != 0 || time.Since(started) != 900*time.Millisecond {
			t.Errorf("%q after %s", tb.failures, time.Since(started))
		}
	})
}
