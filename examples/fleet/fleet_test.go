package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestMain makes the test binary one replica when the program asks for one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "--replica" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	pgtest.Main(m, func() error { return goleak.Find() })
}

// newScenario is a scenario on a server of its own, for eight replicas on 20 slots.
func newScenario(t *testing.T, seconds string) (*scenario, *bytes.Buffer) {
	t.Helper()
	return newScenarioOn(t, seconds, pgtest.Options{})
}

// newScenarioOn is newScenario on a server with other options than the usual.
func newScenarioOn(t *testing.T, seconds string, server pgtest.Options) (*scenario, *bytes.Buffer) {
	t.Helper()
	opts, err := parse([]string{"--seconds", seconds}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{"max_connections": strconv.Itoa(opts.connections), "log_min_messages": "fatal"}
	maps.Copy(settings, server.Settings)
	server.Settings = settings
	srv := pgtest.Start(t, server)
	dsn, err := prepare(t.Context(), srv)
	if err != nil {
		t.Fatal(err)
	}
	out := &bytes.Buffer{}
	return &scenario{opts: opts, srv: srv, dsn: dsn, out: out, log: slog.New(slog.DiscardHandler)}, out
}

// tooMany is how often the server had no room for somebody, by its own log.
func (s *scenario) tooMany() int {
	log := s.srv.Log()
	return strings.Count(log, "too many clients already") + strings.Count(log, "remaining connection slots")
}

// What the program shows: eight processes of 5+5 that share a budget are never
// refused, and the same eight on database/sql are.
func TestFleetIsNeverRefusedAndDatabaseSQLIs(t *testing.T) {
	s, _ := newScenario(t, "2")
	for load, parts := range map[string][]part{"even": s.evenParts(), "uneven": s.unevenParts()} {
		r, err := s.measure(t.Context(), kindFleet, parts)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.0f served/s, fairness %.2f, most sockets %d", load, r.rate, r.jain, r.peak)
		if n := r.report.Full + r.report.Refused + r.report.Failed; n > 0 || r.report.OK == 0 {
			t.Errorf("%s: served %d, 53300 for %d requests and %d dials, failed %d: %s",
				load, r.report.OK, r.report.Full, r.report.Refused, r.report.Failed, r.report.Error)
		}
		if r.peak < 8 {
			t.Errorf("%s: at most %d sockets seen of eight replicas", load, r.peak)
		}
	}
	if n := s.tooMany(); n > 0 {
		t.Errorf("the server's log tells of %d refusals", n)
	}
	raw, err := s.measure(t.Context(), kindSQL, s.evenParts())
	if err != nil {
		t.Fatal(err)
	}
	if raw.report.Full == 0 || s.tooMany() == 0 {
		t.Errorf("the control shows nothing: 53300 for %d requests, %d times in the server's log", raw.report.Full, s.tooMany())
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"--replicas", "3", "--connections", "50", "--seconds", "7"}, io.Discard)
	if err != nil || o.replicas != 3 || o.connections != 50 || o.seconds != 7 || o.acceptance || o.replica != "" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse([]string{"--acceptance"}, io.Discard); err != nil || o.seconds < 8 {
		t.Errorf("acceptance lasts %d seconds (%v)", o.seconds, err)
	} else if most := (&scenario{opts: o}).expected() * 9 / 8; most > 8*time.Minute {
		t.Errorf("acceptance may last %v", most)
	}
	for _, args := range []string{"--replicas=0 --connections=5", "--seconds=0", "--no-such-flag", "--seconds=many"} {
		said := &bytes.Buffer{}
		if code := run(t.Context(), strings.Fields(args), nil, io.Discard, said); code != 2 || said.Len() == 0 {
			t.Errorf("%s: exit code %d, said %q", args, code, said)
		}
	}
	said := &bytes.Buffer{}
	run(t.Context(), []string{"--replicas=0", "--connections=5"}, nil, io.Discard, said)
	if n := strings.Count(said.String(), "must be"); n != 2 {
		t.Errorf("%d of 2 problems are told: %s", n, said)
	}
}

func TestUnknownKindOfReplica(t *testing.T) {
	said := &bytes.Buffer{}
	if code := run(t.Context(), []string{"--replica", "none"}, strings.NewReader(""), io.Discard, said); code != 1 || !strings.Contains(said.String(), `"none"`) {
		t.Errorf("exit code %d, said %q", code, said)
	}
}

func TestJain(t *testing.T) {
	for _, test := range []struct {
		shares []float64
		want   float64
	}{
		{[]float64{5, 5, 5, 5}, 1}, {[]float64{8, 0, 0, 0}, 0.25}, {[]float64{3, 1}, 0.8}, {[]float64{0, 0}, 0}, {nil, 0},
	} {
		if got := jain(test.shares); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%v: %f, want %f", test.shares, got, test.want)
		}
	}
}

func TestLatency(t *testing.T) {
	var l latency
	if got := l.quantile(0.99); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := 1; i <= 100; i++ {
		l.note(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 50 * time.Millisecond, 0.99: 99 * time.Millisecond, 1: 100 * time.Millisecond} {
		if got := l.quantile(q); got < want || got > want*11/10 {
			t.Errorf("quantile %.2f is %v; want %v, or up to a tenth more", q, got, want)
		}
	}
	var fast, all latency
	fast.note(time.Microsecond)
	if got := fast.quantile(1); got != latencyFirst {
		t.Errorf("the first bucket ends at %v", got)
	}
	for range 300 {
		all.note(24 * time.Hour) // beyond the last bucket
	}
	all.add(l)
	if got := all.quantile(0.25); got > 110*time.Millisecond {
		t.Errorf("after adding: %v", got)
	}
}
