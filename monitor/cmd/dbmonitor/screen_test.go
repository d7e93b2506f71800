//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// screen is the program in a terminal: a pseudo-terminal before an emulator
// that keeps the picture and answers the questions a program asks a terminal.
type screen struct {
	t    *testing.T
	cmd  *exec.Cmd
	pty  *os.File // the emulator's end
	tty  *os.File // the program's end, kept open to look at its modes
	done chan struct{}
	news chan struct{} // something was written

	before term.State // the terminal's modes when the program was started

	mu        sync.Mutex // guards everything below
	vt        *vt.Emulator
	raw       bytes.Buffer
	alternate bool
	cursor    bool
}

// startScreen runs the program in a terminal of that size.
func startScreen(t *testing.T, cols, rows int, env []string, args ...string) *screen {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, pty: master, tty: slave, vt: vt.NewEmulator(cols, rows), cursor: true, done: make(chan struct{}), news: make(chan struct{}, 1)}
	s.vt.SetCallbacks(vt.Callbacks{
		AltScreen:        func(on bool) { s.alternate = on },
		CursorVisibility: func(on bool) { s.cursor = on },
	})
	s.size(cols, rows)
	s.before = s.modes()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(exe, args...)
	s.cmd.Env = append(append(os.Environ(), "DBMONITOR_TEST_RUN_MAIN=1", "TERM=xterm-256color", "NO_COLOR=", "COLORTERM=truecolor"), env...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := make(chan struct{})
	go func() { defer close(answers); io.Copy(master, s.vt) }() // the emulator's answers to the program
	go s.watch()
	t.Cleanup(func() {
		s.cmd.Process.Kill() // in case the test failed before it had ended
		s.cmd.Wait()
		slave.Close()
		<-s.done
		s.vt.InputPipe().(io.Closer).Close()
		<-answers
		master.Close()
	})
	return s
}

// watch draws what the program writes until nobody has the terminal open.
func (s *screen) watch() {
	defer close(s.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := s.pty.Read(buf)
		s.mu.Lock()
		s.raw.Write(buf[:n])
		s.vt.Write(buf[:n])
		s.mu.Unlock()
		select {
		case s.news <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (s *screen) size(cols, rows int) {
	s.t.Helper()
	s.mu.Lock()
	s.vt.Resize(cols, rows)
	s.mu.Unlock()
	if err := pty.Setsize(s.pty, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)}); err != nil {
		s.t.Fatal(err)
	}
}

// text is the picture, line by line.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.vt.String()
}

// await waits until the picture satisfies ok.
func (s *screen) await(what string, ok func(text string) bool) {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	for !ok(s.text()) {
		select {
		case <-s.news:
		case <-s.done:
			s.t.Fatalf("%s: ended before; the screen was\n%s", what, s.text())
		case <-deadline:
			s.t.Fatalf("%s: not seen; the screen is\n%s", what, s.text())
		}
	}
}

func (s *screen) awaitText(parts ...string) {
	s.t.Helper()
	s.await(strings.Join(parts, " and "), func(text string) bool {
		for _, p := range parts {
			if !strings.Contains(text, p) {
				return false
			}
		}
		return true
	})
}

func (s *screen) typeKeys(keys string) {
	s.t.Helper()
	if _, err := s.pty.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the program and returns its exit code.
func (s *screen) end() int {
	s.t.Helper()
	stuck := time.AfterFunc(30*time.Second, func() { s.cmd.Process.Kill() }) // then the code is -1
	defer stuck.Stop()
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

// modes are the terminal's settings: raw or not, echo or not.
func (s *screen) modes() term.State {
	s.t.Helper()
	st, err := term.GetState(s.tty.Fd())
	if err != nil {
		s.t.Fatal(err)
	}
	return *st
}

// output is everything the program has written.
func (s *screen) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw.String()
}

func (s *screen) shows() (alternate, cursor bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alternate, s.cursor
}
