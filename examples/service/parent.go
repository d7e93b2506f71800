package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// endWithGoRun returns a context that also ends when this process was started
// by `go run` and that has ended: go run passes Ctrl-C on, but a kill ends it
// alone and would leave us behind.
func endWithGoRun(ctx context.Context) context.Context {
	parent := os.Getppid()
	if commandOf(parent) != "go" {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for os.Getppid() == parent {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		cancel(errors.New("go run has ended"))
	}()
	return ctx
}

// commandOf is the name of a process's program, or empty.
func commandOf(pid int) string {
	out, err := exec.Command("ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm") // empty where there is neither
		out = b
	}
	name := strings.TrimSpace(string(out))
	return name[strings.LastIndex(name, "/")+1:]
}
