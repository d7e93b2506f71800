package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"
)

// part is what one replica is asked to do.
type part struct {
	workers int
	pause   time.Duration
	hold    time.Duration // 0: 5 ms
	reader  time.Duration // one caller more, which pauses for so long in each result; 0: none
	budget  string        // DB_FLEET_BUDGET
	pools   int           // replicas in the process; 0: 1
	fixed   int           // connections of each where parts are fixed; 0: staticSize
}

// args are the part as a child's command line.
func (p part) args() []string {
	if p.hold == 0 {
		p.hold = 5 * time.Millisecond
	}
	if p.fixed == 0 {
		p.fixed = staticSize
	}
	return []string{"--pools", strconv.Itoa(max(1, p.pools)), "--fixed", strconv.Itoa(p.fixed), "--workers", strconv.Itoa(p.workers), "--pause", p.pause.String(), "--hold", p.hold.String(), "--reader", p.reader.String(), "--budget", p.budget}
}

// replicas is the processes of one service.
type replicas struct {
	kind string
	dsn  string
	size int

	mu       sync.Mutex // guards all below
	live     []*replica // oldest first
	ended    []*replica
	measured bool // reports count
}

// replica is one process and what it has done.
type replica struct {
	cmd   *exec.Cmd
	stdin io.Closer // closing it ends the process, and so does our own end
	ended chan struct{}
	total report
}

// enter starts one more process.
func (t *replicas) enter(p part) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, append([]string{"--replica", t.kind, "--replicas", strconv.Itoa(t.size)}, p.args()...)...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+t.dsn)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r := &replica{cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	t.mu.Lock()
	t.live = append(t.live, r)
	t.mu.Unlock()
	go t.listen(r, stdout)
	return nil
}

// listen takes a replica's reports until it ends.
func (t *replicas) listen(r *replica, stdout io.Reader) {
	defer close(r.ended)
	for lines := json.NewDecoder(stdout); ; {
		var said report
		if lines.Decode(&said) != nil {
			break
		}
		t.mu.Lock()
		if t.measured {
			r.total.add(said)
		}
		t.mu.Unlock()
	}
	_ = r.cmd.Wait()
}

// kill ends the n oldest processes as kill -9 does.
func (t *replicas) kill(n int) {
	t.mu.Lock()
	n = min(n, len(t.live))
	killed := t.live[:n]
	t.live = append([]*replica(nil), t.live[n:]...)
	t.ended = append(t.ended, killed...)
	t.mu.Unlock()
	for _, r := range killed {
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
}

// leave ends all processes; each finishes what it is doing.
func (t *replicas) leave() {
	t.mu.Lock()
	all := t.live
	t.live, t.ended = nil, append(t.ended, all...)
	t.mu.Unlock()
	for _, r := range all {
		_ = r.stdin.Close()
	}
	for _, r := range all {
		select {
		case <-r.ended:
		case <-time.After(10 * time.Second):
			_ = r.cmd.Process.Kill()
			<-r.ended
		}
	}
}

// measure starts to count, from nothing.
func (t *replicas) measure(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.measured = on
}

// totals returns the sum of all reports, each live replica's, and how many live.
func (t *replicas) totals() (sum report, each []report, live int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.live {
		sum.add(r.total)
		each = append(each, r.total)
	}
	for _, r := range t.ended {
		sum.add(r.total)
	}
	return sum, each, len(t.live)
}

// slowStart is how long processes may take to start on a machine that is busy.
const slowStart = 15 * time.Second

// begun waits until every process has served something: one that has only just started
// is not one that starves. A process that serves nothing for longer is.
func (t *replicas) begun(ctx context.Context) {
	for end := time.Now().Add(slowStart); time.Now().Before(end) && ctx.Err() == nil; rest(ctx, tick/5) {
		if t.allServe() {
			return
		}
	}
}

// allServe reports whether every live process has served something.
func (t *replicas) allServe() bool {
	_, each, _ := t.totals()
	return !slices.ContainsFunc(each, func(r report) bool { return r.OK == 0 })
}

// assemble starts one process for each part.
func assemble(ctx context.Context, kind, dsn string, parts []part) (*replicas, error) {
	t := &replicas{kind: kind, dsn: dsn, size: len(parts)}
	if err := t.enterAll(ctx, parts); err != nil {
		t.leave()
		return nil, err
	}
	return t, nil
}

// enterAll starts one more process for each part.
func (t *replicas) enterAll(ctx context.Context, parts []part) error {
	for _, p := range parts {
		if err := t.enter(p); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
