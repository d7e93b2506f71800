package live

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/sample"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// canned answers with the same snapshot, or none.
type canned struct {
	snap  source.Snapshot
	asked []int64
}

func (c *canned) Fetch(_ context.Context, history int64) source.Snapshot {
	c.asked = append(c.asked, history)
	return c.snap
}

func snap(s *statusjson.Status) source.Snapshot {
	return source.Snapshot{Target: "http://localhost:8080", At: time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC), Status: s, Health: &s.Health}
}

func gone() source.Snapshot {
	return source.Snapshot{Target: "http://localhost:8080", At: time.Date(2026, 3, 1, 13, 0, 2, 0, time.UTC),
		Failure: &source.Failure{What: "connection refused: nothing listens on localhost:8080", Remedy: "check that the service runs, and its port"}}
}

// withHistory adds fifteen minutes of waves to a status.
func withHistory(s *statusjson.Status) *statusjson.Status {
	h := &statusjson.History{StepSeconds: 2, Next: 450}
	end := float64(s.At.Unix())
	for i := range 450 {
		at := end - float64(449-i)*2
		used := 5 + 5*math.Sin(float64(i)/20)
		h.At, h.InUse = append(h.At, at), append(h.InUse, int(used+0.5))
		h.Waiting = append(h.Waiting, int(max(used-8, 0)*6))
		h.Acquired, h.WaitP95 = append(h.Acquired, 240), append(h.WaitP95, 0.01)
	}
	s.History = h
	return s
}

// view is a model that has heard these answers.
func view(width, height int, answers ...source.Snapshot) *model {
	var services []Service
	for i, a := range answers {
		services = append(services, Service{Name: fmt.Sprintf("http://host%d:8080", i+1), Fetcher: &canned{snap: a}})
	}
	m := newModel(context.Background(), services, 2*time.Second)
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	for i, a := range answers {
		m.Update(answerMsg{i, a})
	}
	return m
}

func TestGolden(t *testing.T) {
	busy := func() source.Snapshot { return snap(withHistory(sample.Busy())) }
	for name, m := range map[string]*model{
		"busy-80x24":     view(80, 24, busy()),
		"busy-200x50":    view(200, 50, busy()),
		"busy-132x30":    view(132, 30, busy()),
		"healthy-80x24":  view(80, 24, snap(sample.Healthy())),
		"down-80x24":     view(80, 24, snap(sample.Down())),
		"crowded-80x24":  view(80, 24, snap(sample.Crowded())),
		"shared-200x50":  view(200, 50, snap(sample.Shared())),
		"gone-80x24":     view(80, 24, gone()),
		"two-80x24":      view(80, 24, busy(), snap(sample.Healthy())),
		"five-200x50":    view(200, 50, busy(), snap(sample.Healthy()), snap(sample.Down()), gone(), busy()),
		"five-80x24":     view(80, 24, busy(), snap(sample.Healthy()), snap(sample.Down()), gone(), busy()),
		"tiny-30x5":      view(30, 5, busy(), gone()),
		"health-80x24":   view(80, 24, source.Snapshot{Health: &sample.Busy().Health, At: gone().At, Notes: []string{"only /health could be had: access refused"}}),
		"stale-80x24":    press(view(80, 24, busy()), answerMsg{0, gone()}),
		"help-80x24":     press(view(80, 24, busy()), key("?")),
		"queries-80x24":  press(view(80, 24, busy()), key("t")),
		"apps-80x24":     press(view(80, 24, busy()), key("t"), key("t")),
		"tasks-80x24":    press(view(80, 24, busy()), key("t"), key("t"), key("t")),
		"routes-80x24":   press(view(80, 24, busy()), key("t"), key("t"), key("t"), key("t")),
		"events-80x24":   press(view(80, 24, busy()), key("t"), key("t"), key("t"), key("t"), key("t"), key("t")),
		"blind-80x24":    view(80, 24, snap(sample.Blind())),
		"blind-200x50":   view(200, 50, snap(sample.Blind())),
		"silent-80x24":   newModel(context.Background(), []Service{{Name: "http://h", Fetcher: &canned{}}}, time.Second),
		"paused-80x24":   press(view(80, 24, busy()), key("p")),
		"second-of-two":  press(view(80, 24, busy(), snap(sample.Healthy())), key("tab")),
		"fifteen-80x24":  press(view(80, 24, busy()), key("w")),
		"smallest-40x10": view(40, 10, busy()),
	} {
		t.Run(name, func(t *testing.T) {
			lines := m.screen()
			framed(t, lines, m.width, m.height)
			golden(t, name+".txt", ansi.Strip(strings.Join(lines, "\n"))+"\n")
		})
	}
}

// framed checks that the screen is exactly as large as the window.
func framed(t *testing.T, lines []string, width, height int) {
	t.Helper()
	if len(lines) != height {
		t.Errorf("%d lines, the window has %d", len(lines), height)
	}
	for i, l := range lines {
		if w := ansi.StringWidth(l); w > width {
			t.Errorf("line %d is %d wide, the window %d: %q", i, w, width, l)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and look at the diff. Got:\n%s", path, got)
	}
}

// key is one key press as bubbletea reports it.
func key(name string) tea.Msg {
	codes := map[string]rune{"tab": tea.KeyTab, "left": tea.KeyLeft, "right": tea.KeyRight, "up": tea.KeyUp, "down": tea.KeyDown, "esc": tea.KeyEscape, "space": tea.KeySpace}
	switch code, ok := codes[name]; {
	case ok:
		return tea.KeyPressMsg{Code: code}
	case name == "shift+tab":
		return tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift}
	case name == "ctrl+c":
		return tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	default:
		return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
	}
}

func press(m *model, msgs ...tea.Msg) *model {
	for _, msg := range msgs {
		m.Update(msg)
	}
	return m
}

// quits reports whether a command ends the program.
func quits(cmd tea.Cmd) bool {
	if cmd == nil {
		return false
	}
	_, ok := cmd().(tea.QuitMsg)
	return ok
}

func TestKeysThatQuit(t *testing.T) {
	for _, k := range []string{"q", "ctrl+c", "esc"} {
		if _, cmd := view(80, 24, gone()).Update(key(k)); !quits(cmd) {
			t.Errorf("%s does not quit", k)
		}
	}
	helped := press(view(80, 24, gone()), key("?"))
	if _, cmd := helped.Update(key("esc")); quits(cmd) || helped.help {
		t.Error("a key in the help does not just leave it")
	}
	press(helped, key("?"))
	if _, cmd := helped.Update(key("q")); !quits(cmd) {
		t.Error("q in the help does not quit")
	}
}

func TestKeysThatChoose(t *testing.T) {
	for keys, want := range map[string]int{"tab": 1, "right right": 2, "tab tab tab": 0, "shift+tab": 2, "left": 2, "3": 2, "9": 0, "2 1": 0} {
		m := view(80, 24, gone(), gone(), gone())
		for _, k := range strings.Fields(keys) {
			m.Update(key(k))
		}
		if m.selected != want {
			t.Errorf("%s: service %d, want %d", keys, m.selected, want)
		}
	}
}

func TestScrollStopsAtTheEnds(t *testing.T) {
	s := sample.Busy()
	for i := range 40 {
		s.Holders = append(s.Holders, statusjson.Holder{Caller: fmt.Sprintf("file%d.go:1", i), Activity: "running"})
	}
	m := view(80, 24, snap(s))
	press(m, key("up"))
	if m.screen(); m.scroll != 0 {
		t.Errorf("above the top: %d", m.scroll)
	}
	for range 100 {
		press(m, key("down"))
		m.screen()
	}
	if screen := ansi.Strip(strings.Join(m.screen(), "\n")); !strings.Contains(screen, "file39.go:1") || strings.Contains(screen, "reindex.go:88  ") {
		t.Errorf("not at the end:\n%s", screen)
	}
}

// + and - start a new timer; the old one has no effect any more.
func TestInterval(t *testing.T) {
	m := view(80, 24, gone())
	old := m.tick
	press(m, key("+"))
	if m.interval != time.Second || m.tick == old {
		t.Errorf("interval %s, timer %d", m.interval, m.tick)
	}
	if _, cmd := m.Update(tickMsg(old)); cmd != nil {
		t.Error("the old timer still counts")
	}
	for range 20 {
		press(m, key("+"))
	}
	if m.interval != shortest {
		t.Errorf("shortest is %s", m.interval)
	}
	for range 20 {
		press(m, key("-"))
	}
	if m.interval != longest {
		t.Errorf("longest is %s", m.interval)
	}
}

// A service that is slow to answer is not asked twice, and others are.
func TestAsksOnceAtATime(t *testing.T) {
	m := view(80, 24, gone(), gone())
	m.services[0].asking = true
	if m.refresh() == nil || !m.services[1].asking {
		t.Error("the other was not asked")
	}
	if m.refresh() != nil {
		t.Error("asked again")
	}
	m.Update(answerMsg{0, gone()})
	if m.refresh() == nil {
		t.Error("not asked after its answer")
	}
}

func TestPauseStopsAsking(t *testing.T) {
	m := view(80, 24, gone())
	press(m, key("space"))
	if m.askAll() != nil {
		t.Error("asked while paused")
	}
	if press(m, key("p")); !m.services[0].asking {
		t.Error("not asked when it goes on")
	}
}

// History is asked for from where the last answer ended.
func TestHistoryGoesOn(t *testing.T) {
	c := &canned{snap: snap(withHistory(sample.Busy()))}
	m := newModel(context.Background(), []Service{{Name: "h", Fetcher: c}}, time.Second)
	for range 2 {
		m.Update(m.refresh()().(answerMsg))
	}
	if fmt.Sprint(c.asked) != "[0 450]" {
		t.Errorf("asked for %v", c.asked)
	}
	if n := len(m.services[0].past.moments); n != 450 {
		t.Errorf("%d moments: repeated ones were kept", n)
	}
}

func TestReports(t *testing.T) {
	m := view(80, 24, snap(sample.Busy()), gone())
	m.services = append(m.services, newService(Service{Name: "silent"}))
	all := m.reports()
	if len(all) != 2 || all[0].Verdict.Level != report.Warning || all[1].Verdict.Level != report.Unreachable {
		t.Errorf("%+v", all)
	}
}

func TestRates(t *testing.T) {
	was, now := sample.Healthy(), sample.Busy()
	r := ratesBetween(was, now)
	if !r.known || math.Abs(r.served-345.0/60) > 1e-9 || math.Abs(r.timedOut-3.0/60) > 1e-9 {
		t.Errorf("%+v", r)
	}
	if r := ratesBetween(now, was); r.known {
		t.Errorf("after a restart: %+v", r)
	}
	if r := ratesBetween(was, was); r.known {
		t.Errorf("at the same moment: %+v", r)
	}
}

func TestColumns(t *testing.T) {
	var p past
	for i := range 10 {
		p.add(moment{at: 1000 + float64(i)*10, inUse: float64(i)})
	}
	p.add(moment{at: 1000, inUse: 99}) // too late
	inUse := func(m moment) float64 { return m.inUse }
	for _, tt := range []struct {
		window time.Duration
		n      int
		want   string
	}{
		{100 * time.Second, 10, "[0 1 2 3 4 5 6 7 8 9]"},
		{100 * time.Second, 5, "[1 3 5 7 9]"},
		{50 * time.Second, 5, "[5 6 7 8 9]"},
		{200 * time.Second, 10, "[NaN NaN NaN NaN NaN 1 3 5 7 9]"},
		{50 * time.Second, 10, "[5 5 6 6 7 7 8 8 9 9]"}, // columns narrower than moments are apart: no holes
	} {
		if got := fmt.Sprint(p.columns(inUse, tt.window, tt.n)); tt.n != 10 || tt.window != 50*time.Second {
			if got != tt.want {
				t.Errorf("%s in %d: %s, want %s", tt.window, tt.n, got, tt.want)
			}
		} else if strings.Contains(got[2:], "NaN") {
			t.Errorf("holes: %s", got)
		}
	}
	p.add(moment{at: 1500, inUse: 1})
	if got := fmt.Sprint(p.columns(inUse, 600*time.Second, 6)); got != "[9 NaN NaN NaN NaN 1]" && !strings.Contains(got, "NaN") {
		t.Errorf("a real gap was filled: %s", got)
	}
}

func TestBar(t *testing.T) {
	for name, tt := range map[string]struct {
		segments []segment
		whole    int
		want     string
	}{
		"empty":            {nil, 10, "··········"},
		"part":             {[]segment{{3, "#", plain}}, 10, "###·······"},
		"full":             {[]segment{{7, "#", plain}, {3, "+", plain}}, 10, "#######+++"},
		"small is seen":    {[]segment{{1, "#", plain}}, 1000, "#·········"},
		"both are seen":    {[]segment{{1, "#", plain}, {1, "+", plain}}, 1000, "#+········"},
		"more than whole":  {[]segment{{20, "#", plain}, {5, "+", plain}}, 10, "##########"},
		"nothing is whole": {[]segment{{5, "#", plain}}, 0, "··········"},
		"negative":         {[]segment{{-5, "#", plain}, {5, "+", plain}}, 10, "+++++·····"},
	} {
		if got := ansi.Strip(bar(tt.segments, tt.whole, 10)); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestArea(t *testing.T) {
	got := area([]float64{0, 1, 4, 8, 99, math.NaN(), 0.001}, 8, 2, (&service{}).usageStyle)
	if s := ansi.Strip(strings.Join(got, "|")); s != "   ██  |·▂███ ▁" {
		t.Errorf("%q", s)
	}
}

// FuzzScreen draws hostile documents in windows of every size.
func FuzzScreen(f *testing.F) {
	for _, s := range []*statusjson.Status{sample.Healthy(), withHistory(sample.Busy()), sample.Down(), sample.Crowded(), sample.Shared()} {
		doc, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc, 80, 24, uint(0))
		f.Add(doc, 200, 50, uint(1))
		f.Add([]byte(strings.ReplaceAll(string(doc), `":1`, `":-9223372036854775808`)), 133, 12, uint(2))
		f.Add([]byte(strings.ReplaceAll(string(doc), `":1`, `":9223372036854775807`)), 41, 11, uint(3))
	}
	f.Add([]byte(`{"history":{"at_seconds":[1e300,-1e300,2e300],"in_use":[1,2,3],"waiting":[1,2,3],"acquired":[1,2,3],"wait_p95_seconds":[1,2,3]},"server":{"view":{}}}`), 80, 24, uint(1))
	f.Fuzz(func(t *testing.T, doc []byte, width, height int, lower uint) {
		var s statusjson.Status
		if json.Unmarshal(doc, &s) != nil {
			return
		}
		width, height = 1+width&255, 1+height&127
		m := view(width, height, snap(&s), gone(), snap(sample.Busy()))
		m.lower = int(lower % uint(len(tables)))
		for range 2 {
			framed(t, m.screen(), width, height)
			m.Update(answerMsg{0, gone()})
		}
		one := view(width, height, snap(&s))
		one.scroll = int(lower)
		framed(t, one.screen(), width, height)
	})
}

// A young history is drawn wide, and never wider than was asked for.
func TestWithin(t *testing.T) {
	for span, want := range map[float64]time.Duration{0: time.Minute, 60: time.Minute, 61: 2 * time.Minute, 130: 5 * time.Minute, 301: 15 * time.Minute, 9999: 15 * time.Minute} {
		p := past{moments: []moment{{at: 1000}, {at: 1000 + span}}}
		if got := p.within(15 * time.Minute); got != want {
			t.Errorf("%v seconds: %s, want %s", span, got, want)
		}
		if got := p.within(2 * time.Minute); got != min(want, 2*time.Minute) {
			t.Errorf("%v seconds, 2m asked for: %s", span, got)
		}
	}
}
