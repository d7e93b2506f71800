package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alecthomas/kong"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/sample"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// invoke runs the program with its output kept.
func invoke(ctx context.Context, env environment, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, args, env, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// service answers /debug/pool-status with one document.
func service(t *testing.T, s *statusjson.Status) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pool-status", func(w http.ResponseWriter, r *http.Request) {
		if a := r.Header.Get("Authorization"); a != "" {
			w.Header().Set("X-Authorization", a)
		}
		json.NewEncoder(w).Encode(s)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func TestExitCodes(t *testing.T) {
	healthy, busy, down := service(t, sample.Healthy()).URL, service(t, sample.Busy()).URL, service(t, sample.Down()).URL
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, tt := range map[string]struct {
		args []string
		want int
		out  string
	}{
		"healthy":       {[]string{healthy}, 0, "HEALTHY  orders at http://"},
		"warning":       {[]string{busy}, 1, "WARNING  orders at"},
		"critical":      {[]string{down}, 2, "CRITICAL  orders at"},
		"unreachable":   {[]string{gone.URL}, 3, "connection refused"},
		"worst of many": {[]string{healthy, down, busy}, 2, "\n\nCRITICAL"},
		"one is gone":   {[]string{gone.URL, healthy}, 3, "HEALTHY"},
		"flag first":    {[]string{"--json", busy}, 1, `"level":"warning"`},
		"flag last":     {[]string{busy, "--json"}, 1, `"level":"warning"`},
		"flags around":  {[]string{"--timeout", "3", busy, "--json", "--timeout=2s"}, 1, `{"url":`},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := invoke(t.Context(), nil, tt.args...)
			if code != tt.want || !strings.Contains(out, tt.out) || errs != "" {
				t.Errorf("code %d, want %d\n%s%s", code, tt.want, out, errs)
			}
		})
	}
}

// An unreachable service is told in exactly one line.
func TestUnreachableIsOneLine(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	code, out, errs := invoke(t.Context(), nil, strings.Replace(srv.URL, "http://", "http://me:s3cret@", 1)+"?token=s3cret")
	if code != 3 || strings.Count(out, "\n") != 1 || errs != "" || strings.Contains(out, "s3cret") {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
}

// A wrong command line has a code of its own, so that scripts never take it for a verdict.
func TestUsageErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"nothing":        {nil, "url"},
		"unknown flag":   {[]string{"http://h", "--contiunous"}, "did you mean"},
		"bad scheme":     {[]string{"ftp://me:s3cret@h"}, `scheme "ftp"`},
		"a database":     {[]string{"postgres://me:s3cret@h/db"}, "dbmonitor doctor"},
		"bad port":       {[]string{"http://h:99999"}, "port 99999"},
		"second is bad":  {[]string{"http://h", "http://"}, "URL 2"},
		"bad interval":   {[]string{"http://h", "--interval", "soon"}, "seconds or a duration"},
		"zero interval":  {[]string{"http://h", "--interval", "0"}, "between 100ms and 24h"},
		"huge interval":  {[]string{"http://h", "--interval", "1e9"}, "seconds or a duration"},
		"minus timeout":  {[]string{"http://h", "--timeout=-1"}, "between 100ms and 24h"},
		"token of lines": {[]string{"http://h", "--token", "s3cret\n"}, "token holds"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := invoke(t.Context(), nil, tt.args...)
			if code != exitUsage || out != "" || !strings.Contains(errs, tt.want) || !strings.HasPrefix(errs, "dbmonitor: ") || strings.Contains(errs, "s3cret") {
				t.Errorf("code %d\n%s%s", code, out, errs)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, arg := range []string{"--help", "-h"} {
		code, out, _ := invoke(t.Context(), nil, arg)
		for _, want := range []string{"--continuous", "--interval", "--json", "--token", "DBMONITOR_TOKEN", "2  critical", "go run", "doctor"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s does not mention %q:\n%s", arg, want, out)
			}
		}
		if code != 0 {
			t.Errorf("%s: code %d", arg, code)
		}
	}
	if code, out, _ := invoke(t.Context(), nil, "--version"); code != 0 || !strings.HasPrefix(out, "dbmonitor") {
		t.Errorf("--version: %d %q", code, out)
	}
}

func TestToken(t *testing.T) {
	var got atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("Authorization"))
		json.NewEncoder(w).Encode(sample.Healthy())
	}))
	defer srv.Close()
	env := environment{"DBMONITOR_TOKEN": "env"}
	for want, args := range map[string][]string{"Bearer env": {srv.URL}, "Bearer flag": {srv.URL, "--token", "flag"}} {
		if code, out, errs := invoke(t.Context(), env, args...); code != 0 || got.Load() != want {
			t.Errorf("%v: code %d, sent %q, want %q\n%s%s", args, code, got.Load(), want, out, errs)
		}
	}
}

func TestInterruptedBeforeFirstReport(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"http://127.0.0.1:1"}, {"http://127.0.0.1:1", "--continuous"}} {
		if code, out, _ := invoke(ctx, nil, args...); code != exitInterrupted || out != "" {
			t.Errorf("%v: code %d %q", args, code, out)
		}
	}
}

// full refuses everything, as a full disk does.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestOutputFails(t *testing.T) {
	srv := service(t, sample.Healthy())
	for _, args := range [][]string{{srv.URL}, {srv.URL, "--continuous"}, {srv.URL, "--json"}} {
		if code := run(t.Context(), args, nil, nil, full{}, full{}); code != exitOutput {
			t.Errorf("%v: code %d", args, code)
		}
	}
}

// script answers with one status after another, in no time.
type script struct{ answers []*statusjson.Status }

func (s *script) Fetch(ctx context.Context, _ int64) source.Snapshot {
	if ctx.Err() != nil {
		return source.Snapshot{Failure: &source.Failure{What: "interrupted"}}
	}
	st := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return source.Snapshot{Target: "http://h", At: time.Now(), Status: st, Health: &st.Health}
}

// The loop reports at once and then every interval, and ends with the last code.
func TestLoop(t *testing.T) {
	for name, tt := range map[string]struct {
		answers []*statusjson.Status
		rounds  int
		want    int
	}{
		"stays healthy":   {[]*statusjson.Status{sample.Healthy()}, 3, 0},
		"becomes busy":    {[]*statusjson.Status{sample.Healthy(), sample.Busy()}, 2, 1},
		"recovers":        {[]*statusjson.Status{sample.Down(), sample.Healthy()}, 2, 0},
		"ends in trouble": {[]*statusjson.Status{sample.Healthy(), sample.Busy(), sample.Down()}, 3, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				begin := time.Now()
				var at []time.Duration
				r := reporter{
					fetchers: []fetcher{&script{tt.answers}},
					before:   make([]*source.Snapshot, 1),
					print: func(report.Report) error {
						if at = append(at, time.Since(begin)); len(at) == tt.rounds {
							time.AfterFunc(time.Second, cancel)
						}
						return nil
					},
				}
				if code := r.loop(ctx, 10*time.Second); code != tt.want {
					t.Errorf("code %d, want %d", code, tt.want)
				}
				for i, d := range at {
					if d != time.Duration(i)*10*time.Second {
						t.Errorf("reports at %v", at)
					}
				}
				if len(at) != tt.rounds {
					t.Errorf("%d reports, want %d", len(at), tt.rounds)
				}
			})
		})
	}
}

// With --continuous each report but the first marks what changed, and only that.
func TestContinuousMarksChanges(t *testing.T) {
	var n atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) {
		case 1, 2:
			json.NewEncoder(w).Encode(sample.Healthy())
		case 3:
			json.NewEncoder(w).Encode(sample.Busy())
		default:
			cancel()
			<-r.Context().Done()
		}
	}))
	defer srv.Close()
	code, out, errs := invoke(ctx, nil, srv.URL, "--continuous", "--interval", "100ms")
	reports := strings.Split(out, "\n\n")
	if code != 1 || len(reports) != 3 || errs != "" {
		t.Fatalf("code %d, %d reports\n%s%s", code, len(reports), out, errs)
	}
	if strings.Contains(reports[0], "\n>") || strings.Contains(reports[1], ">") {
		t.Errorf("nothing changed, but marked:\n%s\n%s", reports[0], reports[1])
	}
	if !strings.HasPrefix(reports[2], "> WARNING (was healthy)") || !strings.Contains(reports[2], "9 (+7) of 10 in use") {
		t.Errorf("not marked:\n%s", reports[2])
	}
}

// JSON lines: one object per service and round.
func TestContinuousJSON(t *testing.T) {
	var n atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) > 4 {
			cancel()
			<-r.Context().Done()
			return
		}
		json.NewEncoder(w).Encode(sample.Healthy())
	}))
	defer srv.Close()
	code, out, _ := invoke(ctx, nil, srv.URL, "-c", "-i", "0.1", "--json", srv.URL+"/debug/pool-status")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 4 {
		t.Fatalf("code %d, %d lines:\n%s", code, len(lines), out)
	}
	for _, l := range lines {
		var got report.Line
		if err := json.Unmarshal([]byte(l), &got); err != nil || got.Level != "healthy" {
			t.Errorf("%v: %s", err, l)
		}
	}
}

func TestFlagsFirst(t *testing.T) {
	known := []*kong.Flag{
		{Value: &kong.Value{Name: "interval"}, Short: 'i'},
		{Value: &kong.Value{Name: "json", Mapper: boolean{}}, Short: 'j'},
	}
	for in, want := range map[string]string{
		"a b":                   "a b",
		"a --json b":            "--json a b",
		"a --interval 5 b":      "--interval 5 a b",
		"a --interval=5 b":      "--interval=5 a b",
		"a -i 5 b":              "-i 5 a b",
		"a -i5 b":               "-i5 a b",
		"a -ji 5 b":             "-ji 5 a b",
		"a -j b -- -x --json c": "-j -- a b -x --json c",
		"a --odd b -":           "--odd a b -",
		"a --interval":          "--interval a",
	} {
		if got := strings.Join(flagsFirst(strings.Fields(in), known), " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// boolean makes a flag one without a value.
type boolean struct{ kong.Mapper }

func (boolean) IsBool() bool { return true }

func TestSpan(t *testing.T) {
	for in, want := range map[string]time.Duration{"10": 10 * time.Second, "0.5": 500 * time.Millisecond, "500ms": 500 * time.Millisecond, "2m": 2 * time.Minute} {
		var s span
		if err := s.UnmarshalText([]byte(in)); err != nil || time.Duration(s) != want {
			t.Errorf("%q: %v %v", in, time.Duration(s), err)
		}
	}
}
