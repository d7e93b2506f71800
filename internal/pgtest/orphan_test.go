package pgtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// orphanEnv makes this test binary a program that starts a server and a pooler
// less politely than a test: it says where they are and waits to be killed.
const orphanEnv = "DBPOOL_PGTEST_ORPHAN"

type orphan struct {
	URL  string
	PIDs []int // postmaster and its guard
	Dirs []string
	UID  int
}

func orphanMain() int {
	srv, err := Open(context.Background(), Options{})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	o := orphan{URL: srv.URL, PIDs: []int{srv.proc.pid(), srv.guard.cmd.Process.Pid}, Dirs: []string{srv.dir}, UID: os.Getuid()}
	for _, tmpl := range templates.byBin {
		o.Dirs = append(o.Dirs, filepath.Dir(tmpl.dir))
	}
	if err := json.NewEncoder(os.Stdout).Encode(o); err != nil {
		return 1
	}
	_, _ = io.ReadAll(os.Stdin)
	if os.Getenv(orphanEnv) == "panic" {
		panic("as asked")
	}
	return 0 // without Close
}

// However the parent ends, it leaves no process and no folder.
func TestNothingOutlivesTheParent(t *testing.T) {
	for _, c := range []struct{ user, end string }{
		{"", "kill"}, {"", "term"}, {"", "panic"}, {"nobody", "kill"}, {"nobody", "exit"},
	} {
		t.Run(strings.TrimPrefix(c.user+"/"+c.end, "/"), func(t *testing.T) {
			t.Parallel()
			orphanTest(t, c.user, c.end)
		})
	}
}

func orphanTest(t *testing.T, user, end string) {
	cmd := exec.Command(testBinary(t))
	asUser(t, cmd, user)
	cmd.Env = append(os.Environ(), orphanEnv+"="+end)
	o, stdin := startOrphan(t, cmd)
	wantAnswer(t, o.URL, "select 'up'", "up")
	if user != "" && o.UID == 0 {
		t.Fatal("ran as root")
	}
	switch end {
	case "kill":
		_ = cmd.Process.Kill()
	case "term":
		_ = cmd.Process.Signal(syscall.SIGTERM)
	default:
		stdin.Close()
	}
	_ = cmd.Wait()
	awaitGone(t, o)
}

func startOrphan(t *testing.T, cmd *exec.Cmd) (orphan, io.Closer) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, _ := bufio.NewReader(stdout).ReadBytes('\n')
	var o orphan
	if err := json.Unmarshal(line, &o); err != nil {
		_ = cmd.Wait()
		t.Fatalf("%v: %q\n%s", err, line, stderr.String())
	}
	return o, stdin
}

// testBinary is a copy of this binary where any user can run it.
func testBinary(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "dbpool-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "pgtest.test")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, self, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

// asUser makes cmd run as another user, which only root can ask for. Whoever
// is not root has the case without a user for it.
func asUser(t *testing.T, cmd *exec.Cmd, user string) {
	t.Helper()
	cmd.Dir = "/"
	if user == "" {
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user; this process is an ordinary user already")
	}
	out, err := exec.Command("id", "-u", user).Output()
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
}

// awaitGone polls, for nothing tells when a stranger's process ends.
func awaitGone(t *testing.T, o orphan) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		left := leftovers(o)
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("left behind: %s", left)
		}
	}
}

func leftovers(o orphan) []string {
	var left []string
	for _, pid := range o.PIDs {
		if alive(pid) {
			left = append(left, "process "+strconv.Itoa(pid))
		}
	}
	for _, dir := range o.Dirs {
		if _, err := os.Stat(dir); err == nil {
			left = append(left, dir)
		}
	}
	return left
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	return err != nil || !strings.Contains(string(status), "State:\tZ")
}
