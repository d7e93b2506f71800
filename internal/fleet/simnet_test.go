package fleet

import (
	"context"
	"sync"
	"time"
)

// link is a replica's network to the server: it can be cut.
type link struct {
	service string
	space   byte // see Options.KeySpace
	role    string

	mu     sync.Mutex    // guards all below
	server *simServer    // of new connections
	cut    chan struct{} // closed when the link is whole; nil: whole
	dead   bool          // the process was killed
	conns  map[*simConn]struct{}
}

func newLink(s *simServer) *link {
	return &link{server: s, service: "orders", space: DefaultKeySpace, role: "app", conns: map[*simConn]struct{}{}}
}

// pass is one way through the network.
func (l *link) pass(ctx context.Context) error {
	l.mu.Lock()
	cut, server := l.cut, l.server
	l.mu.Unlock()
	if cut != nil {
		select {
		case <-cut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	time.Sleep(server.delay())
	return ctx.Err()
}

// keepalive is when the server gives a silent client up; see guardSQL.
const keepalive = 11 * time.Second

// partition cuts the link for a while. The server drops the sessions if it
// takes too long; the client learns that at its next word.
func (l *link) partition(d time.Duration) { l.interrupt(d, keepalive) }

// pause is SIGSTOP for a while: nothing is said, but the kernel answers keepalives.
func (l *link) pause(d time.Duration) { l.interrupt(d, d+1) }

func (l *link) interrupt(d, patience time.Duration) {
	l.mu.Lock()
	if l.cut != nil {
		l.mu.Unlock()
		return
	}
	l.cut = make(chan struct{})
	l.mu.Unlock()
	time.Sleep(min(d, patience))
	if d > patience {
		for _, c := range l.all() { // those that were being dialed too
			go c.server.finish(c.session)
		}
		time.Sleep(d - patience)
	}
	l.mu.Lock()
	close(l.cut)
	l.cut = nil
	l.mu.Unlock()
}

// kill ends all sessions as the kernel does for a killed process.
func (l *link) kill() {
	l.mu.Lock()
	l.dead = true
	l.mu.Unlock()
	for _, c := range l.all() {
		go c.server.finish(c.session)
	}
}

// move has new connections go to another server, and returns the one before.
func (l *link) move(to *simServer) (from *simServer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, l.server = l.server, to
	return from
}

func (l *link) down() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut != nil || l.dead
}

// all are the link's sessions, in no order.
func (l *link) all() []*simConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	var conns []*simConn
	for c := range l.conns {
		conns = append(conns, c)
	}
	return conns
}

// Dial connects as libpq does: fork, authentication, ready.
func (l *link) Dial(ctx context.Context) (conn, error) {
	if err := l.pass(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	dead, server := l.dead, l.server
	l.mu.Unlock()
	if dead {
		return nil, errBroke
	}
	if wait := server.queue(); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	session, err := server.start(l)
	if err != nil {
		l.pass(ctx)
		return nil, err
	}
	c := &simConn{l, server, session, NewKeys(l.space, l.service)}
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	time.Sleep(server.between(2*time.Millisecond, 20*time.Millisecond))
	if err := l.pass(ctx); err != nil {
		go c.Close()
		return nil, err
	}
	return c, nil
}

type simConn struct {
	link    *link
	server  *simServer
	session *simSession
	keys    Keys
}

func (c *simConn) PID() uint32 { return c.session.pid }

func (c *simConn) Do(ctx context.Context, r Request) (Response, error) {
	if err := c.link.pass(ctx); err != nil {
		return Response{}, err
	}
	resp, err := c.server.do(c.session, c.keys, r)
	if passErr := c.link.pass(ctx); passErr != nil {
		return Response{}, passErr
	}
	return resp, err
}

func (c *simConn) Use(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
	case <-c.session.gone:
		return errBroke
	case <-ctx.Done():
		return ctx.Err()
	}
	if !c.server.alive(c.session) {
		return errBroke
	}
	return nil
}

// Close says goodbye and waits for the server to have ended the session.
func (c *simConn) Close() {
	c.link.pass(context.Background())
	c.server.finish(c.session)
	<-c.session.gone
	c.link.mu.Lock()
	delete(c.link.conns, c)
	c.link.mu.Unlock()
}
