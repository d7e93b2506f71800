//go:build unix

package main

import (
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/sample"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// On a terminal --continuous is a full-screen view that follows the window's
// size and leaves the terminal as it found it, with the state told once more.
func TestLiveView(t *testing.T) {
	for name, leave := range map[string]func(*screen){
		"q":       func(s *screen) { s.typeKeys("q") },
		"Ctrl-C":  func(s *screen) { s.typeKeys("\x03") },
		"SIGTERM": func(s *screen) { s.cmd.Process.Signal(syscall.SIGTERM) },
		"SIGINT":  func(s *screen) { s.cmd.Process.Signal(syscall.SIGINT) },
	} {
		t.Run(name, func(t *testing.T) {
			srv := service(t, sample.Busy())
			s := startScreen(t, 80, 24, nil, srv.URL, "--continuous")
			s.awaitText("orders", "▲ WARNING", "9 of 10 in use", "jobs/reindex.go:88", "q quit")
			if alternate, cursor := s.shows(); !alternate || cursor {
				t.Errorf("alternate screen %v, cursor %v", alternate, cursor)
			}
			if s.modes() == s.before {
				t.Error("the terminal was not put into raw mode: this test would see nothing restored")
			}
			leave(s)
			if code := s.end(); code != 1 {
				t.Errorf("exit code %d, want the last state's, 1", code)
			}
			s.await("the main screen", func(string) bool { a, c := s.shows(); return !a && c })
			s.awaitText("WARNING  orders at http://127.0.0.1", "9 of 10 connections in use")
			if strings.Contains(s.text(), "q quit") {
				t.Errorf("the view is still there:\n%s", s.text())
			}
			if s.modes() != s.before {
				t.Error("the terminal's modes are not as before")
			}
		})
	}
}

func TestLiveViewResizes(t *testing.T) {
	s := startScreen(t, 80, 24, nil, service(t, sample.Busy()).URL, "-c")
	footerAt := func(rows, cols int) func(string) bool {
		return func(text string) bool {
			lines := strings.Split(text, "\n")
			return len(lines) == rows && strings.Contains(lines[rows-1], "q quit") && strings.HasSuffix(strings.TrimRight(lines[3], " "), "─")
		}
	}
	s.await("80x24", footerAt(24, 80))
	s.size(160, 40)
	s.await("160x40", func(text string) bool { return footerAt(40, 160)(text) && strings.Contains(text, "── Queries") })
	s.size(100, 20)
	s.await("100x20", func(text string) bool { return footerAt(20, 100)(text) && !strings.Contains(text, "── Queries") })
	s.size(20, 5)
	s.await("20x5", func(text string) bool { return strings.Contains(text, "q quit") && !strings.Contains(text, "Callers") })
	s.size(80, 24)
	s.await("80x24 again", footerAt(24, 80))
	s.typeKeys("q")
	if code := s.end(); code != 1 {
		t.Errorf("exit code %d", code)
	}
}

func TestLiveViewOfSeveral(t *testing.T) {
	down := sample.Down()
	down.Name, down.Health.Name = "search", "search"
	s := startScreen(t, 120, 30, nil, service(t, sample.Healthy()).URL, service(t, down).URL, "--continuous")
	s.awaitText("2 services", "✖ 1 critical", "● 1 healthy", "orders  ● HEALTHY")
	s.typeKeys("\t")
	s.awaitText("search  ✖ CRITICAL", "the database does not answer")
	s.typeKeys("?")
	s.awaitText("Keys", "any key goes back")
	s.typeKeys("x1")
	s.awaitText("orders  ● HEALTHY")
	s.typeKeys("q")
	if code := s.end(); code != 2 {
		t.Errorf("exit code %d, want the worst, 2", code)
	}
	s.awaitText("HEALTHY  orders at", "CRITICAL  search at")
}

func TestLiveViewOfNobody(t *testing.T) {
	s := startScreen(t, 80, 24, nil, "http://127.0.0.1:1", "-c")
	s.awaitText("○ UNREACHABLE", "connection refused")
	s.typeKeys("q")
	if code := s.end(); code != 3 {
		t.Errorf("exit code %d", code)
	}
}

// colours are the sequences that set one.
var colours = regexp.MustCompile(`\x1b\[(?:[0-9;:]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[0-9;:]*m`)

func TestNoColor(t *testing.T) {
	srv := service(t, sample.Busy())
	for name, tt := range map[string]struct {
		env     []string
		args    []string
		colours bool
	}{
		"live":           {nil, []string{"-c"}, true},
		"live, NO_COLOR": {[]string{"NO_COLOR=1"}, []string{"-c"}, false},
		"once":           {nil, nil, true},
		"once, NO_COLOR": {[]string{"NO_COLOR=1"}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := startScreen(t, 80, 24, tt.env, append(tt.args, srv.URL)...)
			s.await("the report", func(text string) bool { return strings.Contains(text, "reindex.go:88") })
			if len(tt.args) > 0 {
				s.typeKeys("q")
			}
			s.end()
			if found := colours.FindString(s.output()); (found != "") != tt.colours {
				t.Errorf("colours: %q, want some: %v", found, tt.colours)
			}
		})
	}
}

// --plain, --json and a terminal that can do nothing get lines.
func TestPlainOnTerminal(t *testing.T) {
	srv := service(t, sample.Busy())
	for name, tt := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"--plain":   {nil, []string{"--plain"}, "9 of 10 in use ["},
		"--json":    {nil, []string{"--json"}, `"level":"warning"`},
		"TERM=dumb": {[]string{"TERM=dumb"}, nil, "9 of 10 in use ["},
	} {
		t.Run(name, func(t *testing.T) {
			s := startScreen(t, 120, 60, tt.env, append(tt.args, srv.URL, "-c", "-i", "100ms")...)
			s.await("two reports", func(string) bool { return strings.Count(s.output(), tt.want) >= 2 })
			if alternate, _ := s.shows(); alternate || strings.Contains(s.output(), "\x1b[?") {
				t.Error("the terminal was taken over")
			}
			s.typeKeys("\x03") // cooked mode: the terminal turns it into SIGINT
			if code := s.end(); code != 1 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// What a server says cannot steer the terminal.
func TestHostileTextOnTerminal(t *testing.T) {
	s := sample.Busy()
	const evil = "\x1b]0;owned\x07\x1b[5;5H\u009b31m\u202eEVIL"
	s.Name, s.Health.Name, s.Holders[0].Caller, s.Events[0].Message = evil, evil, evil, evil
	s.Health.Problems = append(s.Health.Problems, statusjson.Problem{Message: evil, Severity: statusjson.SeverityCritical})
	srv := service(t, s)
	for name, args := range map[string][]string{"live": {"-c"}, "once": {}, "json": {"--json"}} {
		t.Run(name, func(t *testing.T) {
			s := startScreen(t, 100, 40, nil, append(args, srv.URL)...)
			s.awaitText("EVIL")
			if name == "live" {
				s.typeKeys("q")
			}
			s.end()
			for _, bad := range []string{"owned", "\x1b[5;5H", "\u009b", "\u202e"} {
				if strings.Contains(s.output(), bad) {
					t.Errorf("%q reached the terminal", bad)
				}
			}
		})
	}
}
