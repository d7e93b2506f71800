package pgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// child is a process that we started and will wait for.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has been waited for
}

// startChild starts cmd from an operating-system thread that lives as long as
// the child: Linux sends the parent-death signal when the forking thread ends,
// and Go ends threads as it likes.
func startChild(cmd *exec.Cmd) (*child, error) {
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is in cmd.ProcessState and its log
		close(c.done)
	}()
	return c, <-started
}

// runCommand runs a short command, keeping the thread for the same reason.
func runCommand(cmd *exec.Cmd) ([]byte, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return cmd.CombinedOutput()
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop tries each signal in turn, giving the child patience after each.
func (c *child) stop(patience time.Duration, signals ...os.Signal) {
	for _, sig := range signals {
		_ = c.cmd.Process.Signal(sig) // it may be gone already
		timer := time.NewTimer(patience)
		select {
		case <-c.done:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// killFamily ends the child and the processes it forked, none of which gets
// to say anything: a stopped parent cannot react to their end or fork more, and
// they would notice the end of a parent that went first.
func (c *child) killFamily() {
	_ = c.cmd.Process.Signal(sigStop)
	for _, pid := range children(c.pid()) {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill()
		}
	}
	_ = c.cmd.Process.Kill()
	<-c.done
}

// children lists a process's own children where /proc tells; elsewhere they
// notice their parent's death by themselves a little later.
func children(pid int) []int {
	p := strconv.Itoa(pid)
	b, err := os.ReadFile(filepath.Join("/proc", p, "task", p, "children"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, f := range strings.Fields(string(b)) {
		if n, err := strconv.Atoi(f); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}
