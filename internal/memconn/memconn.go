// Package memconn connects two ends in memory, as TCP does, for tests in
// virtual time.
package memconn

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is one end of a connection in memory that can be closed half, as TCP
// can and net.Pipe cannot. It buffers without limit.
type Conn struct {
	in, out *stream
}

// Pipe returns both ends of a connection on which everything takes lag to
// arrive, in each direction.
func Pipe(lag time.Duration) (client, server *Conn) {
	a, b := newStream(lag), newStream(lag)
	return &Conn{a, b}, &Conn{b, a}
}

// stream is one direction.
type stream struct {
	mu       sync.Mutex
	changed  *sync.Cond
	lag      time.Duration
	data     []byte    // that has arrived
	coming   []segment // in the order in which they arrive
	ended    bool      // by the writer: end of file after data
	dead     bool      // by the reader: it will not read any more
	reset    bool      // the writer has been told, by a packet that came back to its first write
	deadline time.Time
	timer    *time.Timer
}

// segment is data on its way.
type segment struct {
	arrives time.Time
	data    []byte
}

func newStream(lag time.Duration) *stream {
	s := &stream{lag: lag}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Read reads what the other end has written.
func (c *Conn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write writes without ever waiting.
func (c *Conn) Write(b []byte) (int, error) { return c.out.write(b) }

// CloseWrite ends the sending half.
func (c *Conn) CloseWrite() error {
	c.out.set(func(s *stream) { s.ended = true })
	return nil
}

// Close ends both directions.
func (c *Conn) Close() error {
	c.in.set(func(s *stream) { s.dead = true })
	return c.CloseWrite()
}

// LocalAddr is made up.
func (*Conn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// RemoteAddr is made up.
func (*Conn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5432} }

// SetDeadline bounds Read.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.SetReadDeadline(t) // a write never waits
}

// SetReadDeadline bounds Read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.set(func(s *stream) {
		s.deadline = t
		if s.timer != nil {
			s.timer.Stop()
		}
		if !t.IsZero() {
			s.timer = time.AfterFunc(time.Until(t), func() { s.set(func(*stream) {}) })
		}
	})
	return nil
}

// SetWriteDeadline has nothing to do.
func (*Conn) SetWriteDeadline(time.Time) error { return nil }

func (s *stream) set(change func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
	s.changed.Broadcast()
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		s.arriveLocked(time.Now())
		switch {
		case s.dead:
			return 0, net.ErrClosed
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0:
			n := copy(b, s.data)
			s.data = s.data[n:]
			return n, nil
		case s.ended && len(s.coming) == 0:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, net.ErrClosed
	}
	if s.reset {
		return 0, syscall.ECONNRESET
	}
	if s.dead {
		s.reset = true
		return len(b), nil
	}
	if s.lag > 0 {
		s.coming = append(s.coming, segment{time.Now().Add(s.lag), append([]byte(nil), b...)})
		time.AfterFunc(s.lag, s.changed.Broadcast)
		return len(b), nil
	}
	s.data = append(s.data, b...)
	s.changed.Broadcast()
	return len(b), nil
}

// arriveLocked takes in what has arrived by now.
func (s *stream) arriveLocked(now time.Time) {
	for len(s.coming) > 0 && !now.Before(s.coming[0].arrives) {
		s.data = append(s.data, s.coming[0].data...)
		s.coming = s.coming[1:]
	}
}
