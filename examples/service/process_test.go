package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// openDir is a temporary folder that any user can use.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "dbpool-service-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// However the real program ends, as root or not, it leaves no process (its
// server would hold the folder) and no folder.
func TestNothingIsLeftBehind(t *testing.T) {
	dir := openDir(t)
	program := filepath.Join(dir, "service")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct {
		name   string
		user   string
		signal syscall.Signal
	}{
		{"interrupt", "", syscall.SIGINT},
		{"terminate", "", syscall.SIGTERM},
		{"kill", "", syscall.SIGKILL},
		{"interrupt as nobody", "nobody", syscall.SIGINT},
		{"kill as nobody", "nobody", syscall.SIGKILL},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(program, "--addr", "127.0.0.1:0")
			cmd.Dir = dir
			become(t, cmd, c.user)
			endsClean(t, cmd, c.signal)
		})
	}
}

// go run passes Ctrl-C on, but neither a termination nor a kill.
func TestNothingIsLeftBehindByGoRun(t *testing.T) {
	endsClean(t, exec.Command("go", "run", ".", "--addr", "127.0.0.1:0"), syscall.SIGKILL)
}

// become lets root start cmd as somebody else. Who is not root has the cases
// without a user for that.
func become(t *testing.T, cmd *exec.Cmd, name string) {
	t.Helper()
	if name == "" {
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user; this process is an ordinary user already")
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid) // numbers on unix
	gid, _ := strconv.Atoi(u.Gid)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// endsClean starts cmd, sees it serve, sends the signal and waits until its
// temporary folder is empty and its port is closed.
func endsClean(t *testing.T, cmd *exec.Cmd, signal syscall.Signal) {
	tmp := openDir(t)
	cmd.Env = append(withoutDatabase(os.Environ()), "TMPDIR="+tmp)
	cmd.WaitDelay = 10 * time.Second // a process left behind would hold stderr open for ever
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := firstURL(stdout)
	if url == "" || !answers(url) {
		_ = cmd.Process.Kill()
		t.Fatalf("it does not answer at %q: %v\n%s", url, cmd.Wait(), stderr.String())
	}
	if made, _ := filepath.Glob(filepath.Join(tmp, "dbpool-pg-*")); len(made) == 0 {
		t.Fatal("its database is not where this test looks")
	}
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if signal != syscall.SIGKILL && err != nil {
		t.Errorf("%v\n%s", err, stderr.String())
	}
	awaitEmpty(t, tmp, url)
}

func withoutDatabase(env []string) []string {
	var out []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "DATABASE_URL=") && !strings.HasPrefix(kv, "DB_") {
			out = append(out, kv)
		}
	}
	return out
}

// answers reports whether anything does, whatever it says.
func answers(url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return true
}

// awaitEmpty polls, for nothing tells when a stranger's process has ended.
func awaitEmpty(t *testing.T, dir, url string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		left, err := filepath.Glob(filepath.Join(dir, "dbpool-*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 && !answers(url) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("left behind: %v; answers: %v", left, answers(url))
		}
	}
}
