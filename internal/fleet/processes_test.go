package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/jackc/pgx/v5/pgconn"
)

// childEnv makes this test binary one replica of a fleet: see TestMain.
const childEnv = "DBPOOL_TEST_FLEET_REPLICA"

// beat is what a replica's process says every half second.
type beat struct {
	Sessions, Served, Failed, Refused int
	LongestWait                       time.Duration
	Members                           int
}

// childMain is a replica with 12 callers that never pause. It ends with its stdin.
func childMain(url string) {
	d := &pgDialer{url: url}
	r := newReplica(d, 10, Options{Service: "orders", Surge: 1})
	ctx, cancel := context.WithCancel(context.Background())
	var callers sync.WaitGroup
	for range 12 {
		callers.Go(func() {
			for ctx.Err() == nil {
				if r.do(ctx, 5*time.Second, about(rand.New(rand.NewPCG(rand.Uint64(), 0)), 20*time.Millisecond)) != nil {
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
	stdin := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(stdin) }()
	for out := json.NewEncoder(os.Stdout); ; {
		out.Encode(d.beat(r))
		select {
		case <-stdin:
			cancel()
			callers.Wait()
			r.close()
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// pgDialer counts the refusals.
type pgDialer struct {
	url string

	mu      sync.Mutex
	refused int
}

func (d *pgDialer) Dial(ctx context.Context) (conn, error) {
	s, err := dialPostgres(ctx, d.url, "orders")
	if err == nil {
		return s, nil
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.Code == "53300" {
		d.mu.Lock()
		d.refused++
		d.mu.Unlock()
	}
	return nil, err
}

func (d *pgDialer) beat(r *replica) beat {
	sessions := r.sessions()
	r.fleet.mu.Lock()
	members := len(r.fleet.view.Members)
	r.fleet.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	return beat{Sessions: sessions, Served: r.served, Failed: r.failed, Refused: d.refused, LongestWait: r.maxWait, Members: members}
}

// process is a replica as a process of its own.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}

	mu   sync.Mutex
	last beat
}

func startProcess(t *testing.T, url string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+url)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go p.listen(stdout)
	t.Cleanup(p.kill)
	return p
}

func (p *process) listen(stdout io.Reader) {
	defer close(p.done)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var b beat
		if json.Unmarshal(lines.Bytes(), &b) == nil {
			p.mu.Lock()
			p.last = b
			p.mu.Unlock()
		}
	}
}

func (p *process) beat() beat {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
	p.cmd.Wait()
}

// stop lets the process end by itself.
func (p *process) stop() {
	p.stdin.Close()
	<-p.done
	p.cmd.Wait()
}

// refusals is how often the server said that it has no room, to anybody.
func refusals(srv *pgtest.Server) int {
	log := srv.Log()
	return strings.Count(log, "too many clients already") + strings.Count(log, "remaining connection slots")
}

// flock is a fleet of processes.
type flock struct {
	*testing.T
	srv  *pgtest.Server
	url  string
	list []*process
}

func (f *flock) join() { f.list = append(f.list, startProcess(f.T, f.url)) }

// until waits until all replicas have at least each sessions and together at least all.
func (f *flock) until(what string, each, all int) {
	f.Helper()
	began := time.Now()
	for {
		var sum int
		least := 99
		var beats []string
		for _, p := range f.list {
			b := p.beat()
			sum, least = sum+b.Sessions, min(least, b.Sessions)
			beats = append(beats, fmt.Sprintf("%+v", b))
		}
		if least >= each && sum >= all {
			f.Logf("%s: %d sessions, at least %d each, after %v; refused in all: %d", what, sum, least, time.Since(began).Round(100*time.Millisecond), refusals(f.srv))
			return
		}
		if time.Since(began) > 20*time.Second {
			f.Fatalf("%s: not after %v:\n%s", what, time.Since(began), strings.Join(beats, "\n"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestProcessesShareARealServer(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_connections": "20"}})
	srv.Exec(t, "create role app login")
	f := &flock{T: t, srv: srv, url: srv.DSN("postgres", "app", "")}
	for range 8 {
		f.join()
	}
	f.until("start", 1, 15)
	time.Sleep(2 * time.Second)
	for range 3 {
		f.list[0].kill()
		f.list = f.list[1:]
		f.until("kill", 2, 15)
		f.join()
		f.until("join", 1, 15)
	}
	if n := refusals(srv); n > 0 {
		t.Errorf("the server answered 53300 %d times", n)
	}
	srv.Restart(t)
	f.until("restart", 1, 15)
	time.Sleep(2 * time.Second)
	after := refusals(srv)
	time.Sleep(3 * time.Second)
	if n := refusals(srv) - after; n > 0 {
		t.Errorf("the server answered 53300 %d times after it had restarted", n)
	}
	t.Logf("in the course of the restart: %d refusals", after)
	for _, p := range f.list {
		p.stop()
		t.Logf("%+v", p.beat())
		if b := p.beat(); b.Failed > 0 {
			t.Errorf("requests failed: %+v", b)
		}
	}
}
