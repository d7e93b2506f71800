package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/sample"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func snap(s *statusjson.Status) source.Snapshot {
	return source.Snapshot{Target: "http://localhost:8080", At: time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC), Took: 3 * time.Millisecond, Status: s, Health: &s.Health}
}

func unreachable() source.Snapshot {
	return source.Snapshot{Target: "http://localhost:8080", Failure: &source.Failure{What: "connection refused: nothing listens on localhost:8080", Remedy: "check that the service runs, and its port"}}
}

func healthOnly(s *statusjson.Status) source.Snapshot {
	one := snap(s)
	one.Status, one.Notes = nil, []string{"only /health could be had: access refused (HTTP 401); set DBMONITOR_TOKEN"}
	return one
}

func TestGolden(t *testing.T) {
	healthy, busy, down := snap(sample.Healthy()), snap(sample.Busy()), snap(sample.Down())
	gone, small := unreachable(), healthOnly(sample.Busy())
	for name, tt := range map[string]struct {
		now    source.Snapshot
		before *source.Snapshot
		text   Text
	}{
		"healthy":          {healthy, nil, Text{}},
		"busy":             {busy, nil, Text{}},
		"down":             {down, nil, Text{}},
		"blind":            {snap(sample.Blind()), nil, Text{}},
		"unreachable":      {gone, nil, Text{}},
		"health-only":      {small, nil, Text{}},
		"crowded":          {snap(sample.Crowded()), nil, Text{}},
		"shared":           {snap(sample.Shared()), nil, Text{}},
		"crowded-to-fits":  {healthy, ptr(snap(sample.Crowded())), Text{Marks: true}},
		"color":            {busy, nil, Text{Color: true}},
		"first":            {healthy, nil, Text{Marks: true}},
		"unchanged":        {healthy, &healthy, Text{Marks: true}},
		"healthy-to-busy":  {busy, &healthy, Text{Marks: true}},
		"busy-to-down":     {down, &busy, Text{Marks: true}},
		"down-to-gone":     {gone, &down, Text{Marks: true}},
		"gone-to-healthy":  {healthy, &gone, Text{Marks: true}},
		"busy-to-healthy":  {healthy, &busy, Text{Marks: true}}, // counters fell: it was restarted
		"health-to-status": {busy, &small, Text{Marks: true}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := tt.text.Write(&out, New(tt.now, tt.before)); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", out.Bytes())
		})
	}
}

func ptr(s source.Snapshot) *source.Snapshot { return &s }

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run with -update and look at the diff. Got:\n%s", path, got)
	}
}

// Only what changed is marked: the same answer twice has no marks and no changes.
func TestUnchangedIsUnmarked(t *testing.T) {
	for _, s := range []source.Snapshot{snap(sample.Healthy()), snap(sample.Busy()), snap(sample.Down()), snap(sample.Crowded()), snap(sample.Shared()), healthOnly(sample.Busy()), unreachable()} {
		r := New(s, &s)
		for _, row := range r.Rows {
			if row.Changed {
				t.Errorf("marked: %+v", row)
			}
		}
		if len(r.Changes) > 0 {
			t.Errorf("changes: %+v", r.Changes)
		}
	}
}

// After an outage, and after a bare /health, there is nothing to compare with.
func TestNoMarksWithoutComparison(t *testing.T) {
	gone := unreachable()
	for _, row := range New(snap(sample.Busy()), &gone).Rows {
		if row.Changed {
			t.Errorf("marked: %+v", row)
		}
	}
}

// Ages grow all the time and are not changes.
func TestAgesAreNotChanges(t *testing.T) {
	before, now := sample.Busy(), sample.Busy()
	now.At, now.Health.At = now.At.Add(time.Minute), now.At.Add(time.Minute)
	for i := range now.Holders {
		now.Holders[i].HeldSeconds += 60
	}
	now.Server.AgeSeconds += 60
	a, b := snap(before), snap(now)
	if r := New(b, &a); len(r.Changes) > 0 {
		t.Errorf("changes: %+v", r.Changes)
	}
}

func TestJudge(t *testing.T) {
	problem := func(sev statusjson.Severity) []statusjson.Problem { return []statusjson.Problem{{Severity: sev}} }
	for name, tt := range map[string]struct {
		health *statusjson.HealthReport
		want   Level
	}{
		"healthy":           {&statusjson.HealthReport{Status: statusjson.Healthy}, Healthy},
		"degraded":          {&statusjson.HealthReport{Status: statusjson.Degraded}, Warning},
		"unhealthy":         {&statusjson.HealthReport{Status: statusjson.Unhealthy}, Critical},
		"later word":        {&statusjson.HealthReport{Status: "weakened"}, Warning},
		"no word":           {&statusjson.HealthReport{}, Warning},
		"healthy, info":     {&statusjson.HealthReport{Status: statusjson.Healthy, Problems: problem(statusjson.SeverityInfo)}, Healthy},
		"healthy, warning":  {&statusjson.HealthReport{Status: statusjson.Healthy, Problems: problem(statusjson.SeverityWarning)}, Warning},
		"healthy, critical": {&statusjson.HealthReport{Status: statusjson.Healthy, Problems: problem(statusjson.SeverityCritical)}, Critical},
		"later severity":    {&statusjson.HealthReport{Status: statusjson.Healthy, Problems: problem("odd")}, Warning},
		"nothing":           {nil, Unreachable},
	} {
		if got := Judge(source.Snapshot{Health: tt.health}).Level; got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	if got := Judge(unreachable()).Level; got != Unreachable {
		t.Errorf("trouble: %s", got)
	}
}

func TestJudgeOrdersProblems(t *testing.T) {
	h := &statusjson.HealthReport{Status: statusjson.Unhealthy, Problems: []statusjson.Problem{
		{Code: "a", Severity: statusjson.SeverityInfo}, {Code: "b", Severity: statusjson.SeverityCritical}, {Code: "c", Severity: statusjson.SeverityWarning},
	}}
	order := ""
	for _, p := range Judge(source.Snapshot{Health: h}).Problems {
		order += string(p.Code)
	}
	if order != "bca" || h.Problems[0].Code != "a" {
		t.Errorf("order %q, document %v", order, h.Problems)
	}
}

func TestWriteJSON(t *testing.T) {
	busy, gone, small := snap(sample.Busy()), unreachable(), healthOnly(sample.Busy())
	var out bytes.Buffer
	for _, r := range []Report{New(busy, &gone), New(gone, &busy), New(small, nil)} {
		if err := WriteJSON(&out, r); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	var got [3]Line
	for i, l := range lines {
		if err := json.Unmarshal([]byte(l), &got[i]); err != nil {
			t.Fatal(err)
		}
	}
	if l := got[0]; l.Level != "warning" || l.ExitCode != 1 || len(l.Problems) != 2 || l.Status == nil || l.Status.Pool.CheckedOut != 9 || len(l.Changes) == 0 || l.Error != "" {
		t.Errorf("busy: %+v", l)
	}
	if l := got[1]; l.Level != "unreachable" || l.ExitCode != 3 || l.Status != nil || l.Health != nil || !strings.Contains(l.Error, "refused") || l.Problems == nil {
		t.Errorf("gone: %+v", l)
	}
	if l := got[2]; l.ExitCode != 1 || l.Status != nil || l.Health == nil || len(l.Notes) != 1 {
		t.Errorf("health only: %+v", l)
	}
}

func TestSeconds(t *testing.T) {
	for in, want := range map[float64]string{
		0: "0", 0.0000004: "0µs", 0.000340: "340µs", 0.0012: "1.2ms", 0.34: "340ms", 0.9999: "1000ms", 1: "1s", 2.5: "2.5s", 59.9: "59s",
		60: "1m", 61: "1m01s", 3600: "1h", 3720: "1h02m", 90000: "1d01h", 1e12: ">999d", -1: "?",
	} {
		if got := Seconds(in); got != want {
			t.Errorf("Seconds(%v) = %q, want %q", in, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for in, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -12345: "-12,345", -123: "-123", -1 << 63: "-9,223,372,036,854,775,808"} {
		if got := Count(in); got != want {
			t.Errorf("Count(%d) = %q, want %q", in, got, want)
		}
	}
}

func TestBar(t *testing.T) {
	for in, want := range map[float64]string{0: "[....]", 1: "[#...]", 50: "[##..]", 100: "[####]", 1e9: "[####]", -5: "[....]"} {
		if got := Bar(in, 4); got != want {
			t.Errorf("Bar(%v) = %q, want %q", in, got, want)
		}
	}
}
