package pgtest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

// guard owns a folder and removes it when told to, or when this process has
// died without a word (kill -9): it is a shell that reads from a pipe whose
// other end only we hold. It also ends the process it was last told of.
type guard struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// guardScript: $1 is the folder. Each line read is the id of the process to
// end, or empty for none. A process that nobody waits for is a zombie (Z) and
// counts as ended. A postmaster.pid left behind by a killed server names
// its shared memory segment, which nobody else would remove.
const guardScript = `
alive() { kill -0 "$pid" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null; }
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
	kill -QUIT "$pid" 2>/dev/null
	n=0
	while [ $n -lt 50 ] && alive; do sleep 0.1; n=$((n+1)); done
	kill -KILL "$pid" 2>/dev/null
fi
if [ -r "$1/data/postmaster.pid" ]; then
	shm=$(sed -n '7s/^ *[0-9]* *//p' "$1/data/postmaster.pid")
	[ -n "$shm" ] && ipcrm -m "$shm" 2>/dev/null
fi
n=0
while [ $n -lt 50 ] && ! rm -rf "$1" 2>/dev/null; do sleep 0.1; n=$((n+1)); done
`

// newGuard makes a folder for the account and sets a guard over it.
func newGuard(who account) (*guard, string, error) {
	dir, err := who.makeDir("dbpool-pg-*")
	if err != nil {
		return nil, "", err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, "", fmt.Errorf("guard: %w", err)
	}
	defer r.Close()
	cmd := who.command("/bin/sh", "-c", guardScript, "dbpool-guard", dir)
	if cmd.SysProcAttr != nil {
		ignoreParentDeath(cmd.SysProcAttr)
	}
	cmd.Stdin = r
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, "", fmt.Errorf("guard: %w", err)
	}
	return &guard{cmd: cmd, pipe: w}, dir, nil
}

// watch tells which process to end with us; 0 is none.
func (g *guard) watch(pid int) error {
	line := "\n"
	if pid > 0 {
		line = fmt.Sprintf("%d\n", pid)
	}
	if _, err := io.WriteString(g.pipe, line); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return nil
}

// close removes the folder and returns when it is gone.
func (g *guard) close() {
	g.pipe.Close()
	_ = g.cmd.Wait() // the folder of a guard that somebody killed stays, and that is all
}
