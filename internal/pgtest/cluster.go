package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const host = "127.0.0.1"

// cluster is a data folder and the server process that runs on it, if one does.
type cluster struct {
	opts     Options
	who      account
	bin      binaries
	password string // of Superuser
	dir      string // holds data and log; belongs to guard
	port     int
	guard    *guard
	refuses  bool         // a standby that is not to take sessions; see Standby
	standbys atomic.Int32 // how many were made of it

	mu     sync.Mutex // guards proc and closed, and makes starts and stops take turns
	proc   *child     // nil: not running
	closed bool

	adminMu sync.Mutex // guards admin, and its use
	admin   *pgx.Conn  // see admin.go
}

// newCluster copies the template, configures the copy and starts it.
func newCluster(ctx context.Context, opts Options) (*cluster, error) {
	who, err := serverAccount()
	if err != nil {
		return nil, err
	}
	bin, err := chooseBinaries(opts, who)
	if err != nil {
		return nil, err
	}
	tmpl, err := templateFor(bin, who)
	if err != nil {
		return nil, err
	}
	g, dir, err := newGuard(who)
	if err != nil {
		return nil, err
	}
	c := &cluster{opts: opts, who: who, bin: bin, password: tmpl.password, dir: dir, guard: g}
	return c, c.firstStart(ctx, func() error { return tmpl.copyTo(c.data(), c.who) })
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

// firstStart fills the data folder, configures and starts. When that fails
// nothing is left.
func (c *cluster) firstStart(ctx context.Context, fill func() error) error {
	err := fill()
	if err == nil {
		err = c.configureAndStart(ctx)
	}
	if err != nil {
		c.close()
	}
	return err
}

// configureAndStart tries other ports when somebody took ours between looking
// and binding.
func (c *cluster) configureAndStart(ctx context.Context) error {
	if err := c.writeHBA(); err != nil {
		return err
	}
	conf, err := os.ReadFile(c.confPath())
	if err != nil {
		return err
	}
	for {
		if c.port, err = freePort(); err != nil {
			return err
		}
		if err := c.writeConf(string(conf)); err != nil {
			return err
		}
		if err = c.start(ctx); err == nil || !errors.Is(err, errPortTaken) || ctx.Err() != nil {
			return err
		}
	}
}

// freePort picks from below the range that outgoing connections use, so that
// a busy test cannot take the port while its server restarts.
func freePort() (int, error) {
	for range 100 {
		port := 15000 + rand.IntN(17000)
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port in 100 tries")
}

var errPortTaken = errors.New("port taken")

// start runs postgres and waits until it answers. The caller holds no lock.
func (c *cluster) start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.startLocked(ctx)
}

func (c *cluster) startLocked(ctx context.Context) error {
	if c.closed {
		return errors.New("server was stopped for good")
	}
	if err := c.launchLocked(); err != nil {
		return err
	}
	if err := c.awaitReady(ctx, c.proc); err != nil {
		c.stopLocked(syscall.SIGQUIT, os.Kill)
		return err
	}
	return nil
}

// launchLocked starts the process and tells the guard.
func (c *cluster) launchLocked() error {
	log, err := os.OpenFile(c.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := c.who.command(c.bin.path("postgres"), "-D", c.data())
	cmd.Stdout, cmd.Stderr = log, log
	proc, err := startChild(cmd)
	if err != nil {
		return err
	}
	c.proc = proc
	return c.guard.watch(proc.pid())
}

// awaitReady asks until a session of this very server answers.
func (c *cluster) awaitReady(ctx context.Context, proc *child) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-proc.done:
			return c.explainExit()
		case <-ctx.Done():
			return fmt.Errorf("server did not answer in time: %w\n%s", err, c.logTail())
		}
	}
}

// explainExit tells a passing collision from a real failure by the log's end.
func (c *cluster) explainExit() error {
	tail := c.logTail()
	last := tail[max(0, strings.LastIndex(tail, "starting PostgreSQL")):]
	for _, sign := range []string{"could not bind", "pre-existing shared memory block"} {
		if strings.Contains(last, sign) {
			return fmt.Errorf("%w:\n%s", errPortTaken, tail)
		}
	}
	return fmt.Errorf("server exited:\n%s", tail)
}

// ping connects and makes sure that who answered is ours: another server may
// have taken the port first.
func (c *cluster) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := c.connect(ctx)
	if c.refuses && strings.Contains(refusalIn(err), "accepting connections") {
		return nil
	}
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var data string
	if err := conn.QueryRow(ctx, "show data_directory").Scan(&data); err != nil {
		return err
	}
	if data != c.data() {
		return fmt.Errorf("port %d belongs to another server", c.port)
	}
	return nil
}

// connect opens a superuser's session.
func (c *cluster) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s:%s@%s:%d/postgres?sslmode=disable", Superuser, c.password, host, c.port))
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["application_name"] = ownName
	return pgx.ConnectConfig(ctx, cfg)
}

// restart stops what runs and starts again on the same port, patiently: for a
// moment the port or the memory may still be in use.
func (c *cluster) restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked(syscall.SIGINT, syscall.SIGQUIT, os.Kill)
	for {
		err := c.startLocked(ctx)
		if err == nil || !errors.Is(err, errPortTaken) || ctx.Err() != nil {
			return err
		}
	}
}

// halt stops the process and keeps the data.
func (c *cluster) halt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked(syscall.SIGINT, syscall.SIGQUIT, os.Kill)
}

func (c *cluster) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil {
		return
	}
	c.proc.killFamily()
	c.forgetLocked()
}

// stopLocked sends the signals in turn until the process is gone.
func (c *cluster) stopLocked(signals ...os.Signal) {
	if c.proc == nil {
		return
	}
	c.proc.stop(15*time.Second, signals...)
	c.forgetLocked()
}

func (c *cluster) forgetLocked() {
	c.proc = nil
	_ = c.guard.watch(0) // a dead guard leaves only the folder behind
}

// close stops the server for good; the guard removes the folder.
func (c *cluster) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	c.stopLocked(syscall.SIGINT, syscall.SIGQUIT, os.Kill)
	c.guard.close()
}
