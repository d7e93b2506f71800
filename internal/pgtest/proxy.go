package pgtest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy in front of a server that makes the network fail on
// command. It starts as a plain forwarder. All methods may be called at any
// time, from any goroutine; a change of fault applies to the connections that
// exist and to those that come, except where it says otherwise. A connection
// reaches the server once the client has sent its first packet.
type Proxy struct {
	// Addr is where it listens: host:port.
	Addr string

	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu       sync.Mutex // guards all below
	faults   faults
	changed  chan struct{} // closed at every change of faults, and replaced
	links    map[*link]bool
	accepted int
	cancels  int
	closed   bool
}

// faults are what goes wrong at present.
type faults struct {
	blackHole      bool
	refuse         bool
	frozen         bool
	hideFIN        bool
	swallowCancels bool
	delay          time.Duration
}

// StartProxy listens in front of target (host:port) for the length of the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatalf("pgtest: proxy: %v", err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, listener: l, changed: make(chan struct{}), links: map[*link]bool{}}
	p.running.Go(p.serve)
	t.Cleanup(p.Close)
	return p
}

// Proxy starts one in front of this server.
func (s *Server) Proxy(t testing.TB) *Proxy {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatalf("pgtest: proxy: %v", err)
	}
	return StartProxy(t, u.Host)
}

// URL is dsn, a postgres:// URL, led through the proxy.
func (p *Proxy) URL(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic("pgtest: not a URL: " + err.Error())
	}
	u.Host = p.Addr
	return u.String()
}

// BlackHole makes connections that come be accepted and never answered.
// Those that exist are not touched.
func (p *Proxy) BlackHole(on bool) { p.set(func(f *faults) { f.blackHole = on }) }

// Refuse resets connections that come at once. Those that exist are not touched.
func (p *Proxy) Refuse(on bool) { p.set(func(f *faults) { f.refuse = on }) }

// Freeze holds back every byte and every end of stream, in both directions,
// as a partition does; what was held back flows when it ends.
func (p *Proxy) Freeze(on bool) { p.set(func(f *faults) { f.frozen = on }) }

// HideFIN keeps the client from learning that the server closed: its
// connection stays open until Cut or Close.
func (p *Proxy) HideFIN(on bool) { p.set(func(f *faults) { f.hideFIN = on }) }

// SwallowCancels accepts cancel requests and closes them, as a server does
// that has obeyed, without passing them on.
func (p *Proxy) SwallowCancels(on bool) { p.set(func(f *faults) { f.swallowCancels = on }) }

// Delay holds every piece of data for d on its way, in each direction, as a long
// line does: pieces that follow each other closely arrive so.
func (p *Proxy) Delay(d time.Duration) { p.set(func(f *faults) { f.delay = d }) }

// Cut resets all connections that exist.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// Accepted counts the connections that came, cancel requests among them.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Open counts the connections that have not ended on both sides.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Cancels counts the cancel requests that came, swallowed or not.
func (p *Proxy) Cancels() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cancels
}

// Close resets everything and returns when all is quiet. It may be called twice.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close() // closed twice at most
	p.Cut()
	p.running.Wait()
}

func (p *Proxy) set(change func(*faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.faults)
	close(p.changed)
	p.changed = make(chan struct{})
}

// now returns the present faults and a channel that tells when they change.
func (p *Proxy) now() (faults, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults, p.changed
}

func (p *Proxy) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		if l := p.admit(conn); l != nil {
			p.running.Go(l.run)
		}
	}
}

// admit counts a connection and registers its link, unless it is refused.
func (p *Proxy) admit(conn net.Conn) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepted++
	l := &link{proxy: p, client: conn.(*net.TCPConn), over: make(chan struct{})}
	if p.closed || p.faults.refuse {
		l.reset()
		return nil
	}
	p.links[l] = true
	return l
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

func (p *Proxy) countCancel() (swallow bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancels++
	return p.faults.swallowCancels
}

// discard reads until the other side gives up.
func discard(r io.Reader) { _, _ = io.Copy(io.Discard, r) }
