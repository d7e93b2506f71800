package pgdriver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// TestRunModel compares runs of random statements, errors, departures, cancels,
// kills and slowdowns with a simple model: every caller gets exactly its own
// answer, nothing is done twice or lost, and the session stays in step.
func TestRunModel(t *testing.T) {
	seeds := 200
	if n, err := strconv.Atoi(os.Getenv("DBPOOL_MODEL_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			m := &model{rig: newRig(t), rng: rand.New(rand.NewPCG(seed, 1)), seed: seed}
			for m.run() && !t.Failed() && m.runs < 4 {
				m.runs++
			}
			m.srv.kill(nil)
			_ = m.link.pg.Close(context.Background())
			synctest.Wait()
		})
	}
}

type model struct {
	*rig
	rng   *rand.Rand
	seed  uint64
	runs  int
	calls []modelCall
}

// modelCall is a call with what its script asks for.
type modelCall struct {
	*Call
	script
	kind     Kind
	deadline time.Duration // of its caller; 0: none
}

// run makes one random run. It reports false when the session has ended.
func (m *model) run() bool {
	m.calls = nil
	m.lag = time.Duration(m.rng.IntN(10)) * time.Millisecond
	m.statement(plainSQL, Plain).cost.Store(m.rng.Int64N(int64(3 * time.Millisecond)))
	for i := range 1 + m.rng.IntN(30) {
		m.calls = append(m.calls, m.random(i))
	}
	ctxs, calls := make([]context.Context, len(m.calls)), make([]*Call, len(m.calls))
	for i, c := range m.calls {
		calls[i] = c.Call
		if c.deadline > 0 {
			ctx, cancel := context.WithTimeout(context.Background(), c.deadline)
			defer cancel()
			ctxs[i] = ctx
		}
	}
	word := m.killLater()
	got := m.rig.run(ctxs, calls...)
	for i, o := range got {
		m.check(i, o, word)
	}
	time.Sleep(2 * time.Minute) // what nobody waits for has ended
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.overs != 1 {
		m.fault(-1, "given back %d times", m.overs)
	}
	m.overs = 0
	m.srv.uncancel()
	return m.err == nil && !m.srv.hasEnded()
}

func (m *model) chance(percent int) bool { return m.rng.IntN(100) < percent }

// random makes a call up.
func (m *model) random(i int) modelCall {
	id := fmt.Sprintf("%d.%d", m.runs, i)
	words := []string{"id=" + id, "rows=" + strconv.Itoa(m.rng.IntN(4))}
	for _, w := range []struct {
		percent int
		word    string
	}{
		{30, "sleep=" + (time.Duration(m.rng.IntN(4000)) * time.Microsecond).String()}, {3, "sleep=" + (time.Duration(m.rng.IntN(3000)) * time.Millisecond).String()},
		{5, "fail=22012"}, {3, "fail=23505"}, {3, "late=40001"}, {3, "stale"}, {10, "notice"}, {1, "die=57P01"}, {1, "vanish"},
		{10, "pad=" + strconv.Itoa(m.rng.IntN(3000))}, {1, "pad=400000"}, {5, "long=" + strings.Repeat("x", m.rng.IntN(9000))},
	} {
		if m.chance(w.percent) {
			words = append(words, w.word)
		}
	}
	text := strings.Join(words, " ")
	c := modelCall{script: parseScript(text), kind: []Kind{Plain, Plain, Plain, Reads, Writes}[m.rng.IntN(5)]}
	sql := map[Kind]string{Plain: plainSQL, Reads: readsSQL, Writes: writesSQL}[c.kind]
	if m.chance(3) {
		sql, c.kind, c.script["nonsense"] = "select nonsense", Plain, ""
	}
	c.Call = m.call(sql, c.kind, text)
	if m.chance(25) {
		c.deadline = time.Duration(1 + m.rng.IntN(60_000_000))
	}
	return c
}

// killLater has the session end at a random time, sometimes, and returns how.
func (m *model) killLater() (word string) {
	if !m.chance(10) {
		return ""
	}
	var last *pgproto3.ErrorResponse
	word = "vanish"
	if m.chance(50) {
		last, word = shutdown, "57P01"
	}
	at := time.Duration(m.rng.IntN(20_000_000))
	go func() {
		time.Sleep(at)
		m.srv.kill(last)
	}()
	return word
}

func (m *model) fault(i int, format string, args ...any) {
	m.t.Helper()
	text := fmt.Sprintf(format, args...)
	if i >= 0 {
		m.calls[i].script["long"] = ""
		text = fmt.Sprintf("call %d %v: %s", i, m.calls[i].script, text)
	}
	m.t.Errorf("seed %d, run %d: %s", m.seed, m.runs, text)
}

// check compares what the caller of call i got with what it should have got.
func (m *model) check(i int, o outcome, word string) {
	c := m.calls[i]
	m.srv.mu.Lock()
	started, committed := m.srv.started[c.script["id"]], m.srv.committed[c.script["id"]]
	m.srv.mu.Unlock()
	if started > 1 {
		m.fault(i, "executed %d times", started)
	}
	switch {
	case o.left && (c.deadline == 0 || o.after != c.deadline):
		m.fault(i, "left after %s, its deadline is %s", o.after, c.deadline)
	case c.deadline > 0 && o.after > c.deadline:
		m.fault(i, "answered after %s, its deadline is %s", o.after, c.deadline)
	case o.left:
	case o.Again:
		if committed > 0 && c.kind != Plain {
			m.fault(i, "is to run again although it was done")
		}
	case o.Err != nil:
		m.checkError(i, o.Err, word)
	default:
		m.checkRows(i, o, committed)
	}
}

// checkError checks that an error can be the caller's own.
func (m *model) checkError(i int, err error, word string) {
	s := m.calls[i].script
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if !slices.Contains([]string{s["fail"], s["late"], s["die"], word}, pg.Code) {
			m.fault(i, "%v", err)
		}
		return
	}
	ends := word == "vanish"
	for _, other := range m.calls[:i+1] {
		_, vanishes := other.script["vanish"]
		ends = ends || vanishes
	}
	if !errors.Is(err, ErrLost) || !ends {
		m.fault(i, "%v", err)
	}
}

func (m *model) checkRows(i int, o outcome, committed int) {
	s := m.calls[i].script
	if s["fail"] != "" || s["late"] != "" || s["die"] != "" {
		m.fault(i, "succeeded")
	}
	if want := slices.Repeat([]string{s["id"]}, s.number("rows", 1)); !slices.Equal(o.ids, want) {
		m.fault(i, "rows %v", o.ids)
	}
	if committed != 1 {
		m.fault(i, "committed %d times", committed)
	}
	if want := "SELECT " + s["rows"]; o.Result.Tag.String() != want {
		m.fault(i, "tag %q", o.Result.Tag)
	}
}
