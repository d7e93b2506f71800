package pgdriver

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Socket is a socket that keeps its slot until the server has closed its end.
//
// A client that closes a socket knows nothing about the server's session: the
// backend may run its statement to the end before it looks. PostgreSQL closes
// the socket when the backend process exits, so end of file on the socket is
// the one event that proves the session gone. Close therefore only ends the
// sending half, and a goroutine reads on until end of file.
//
// When that never comes, the kernel decides: it gives a silent peer up after
// UserTimeout, and the read fails. The slot counts as closing all that time
// (quarantined after quarantineAfter). A session that has begun is waited for as
// long as it may live, whatever its statement_timeout was set to meanwhile; one
// that never began is not, see DialBound.
type Socket struct {
	net.Conn // nil until it is dialed
	hold     Hold
	opened   time.Time
	closing  sync.Once
	deadline sync.Mutex   // held while one is set, and while farewell is
	farewell atomic.Bool  // Close was called
	begun    atomic.Bool  // more was sent than the question whether the server has TLS
	ended    sync.Once    // the server's end of file, or a broken connection, was seen
	broke    atomic.Int32 // a connstate.EndCause: how it broke while it was in use
}

// Hold is the part of a slot that a socket holds.
type Hold interface {
	// Ended gives it back: the server has closed its end, or can be believed to have.
	Ended()
	// Established reports whether the session of the slot has been in use.
	Established() bool
}

// NewSocket returns a socket that is about to be dialed. hold takes its part of the slot.
func NewSocket(hold func(*Socket) Hold) *Socket {
	s := &Socket{opened: time.Now()}
	s.hold = hold(s)
	return s
}

// DialBound is how long a session may take to begin, counted from the dial: the
// server gives up by itself after authentication_timeout, of which this is the default.
const DialBound = time.Minute

// UserTimeout is how long a peer may be silent, neither answering a keepalive
// nor acknowledging data, before the kernel breaks the connection.
const UserTimeout = time.Minute

// keepAlive finds a dead peer within UserTimeout: the first probe after 15 s
// of silence, three more 15 s apart.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3}

// DialFunc opens a network connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// DialSocket dials with the bounds that say how long a lost session counts:
// keepalive for an idle connection, and where the system has it a user timeout
// for one with data, or only a farewell, on its way.
func DialSocket(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive, Control: func(network, _ string, raw syscall.RawConn) error {
		if strings.HasPrefix(network, "tcp") {
			setUserTimeout(raw)
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}

// Read notes the end of the stream: it proves the session gone, whatever the
// client does with the socket afterwards. Once it is closed what comes is
// drained, and nobody else may have a part of it: the holder whom it was taken
// away from may be reading rows.
func (s *Socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err != nil && !isOwnDeadline(err) {
		s.noteBroken(err)
		s.SessionEnded()
	}
	if s.farewell.Load() {
		return 0, net.ErrClosed
	}
	return n, err
}

// Write notes that the connection broke: nobody is there to read from it. When
// it was given up in the middle of a message, that is the end of it: the server
// would take a farewell for the rest of the message, and wait for more.
func (s *Socket) Write(b []byte) (int, error) {
	if !s.begun.Load() && !isKnock(b) {
		s.begun.Store(true)
	}
	n, err := s.Conn.Write(b)
	switch {
	case err == nil, s.farewell.Load():
	case isOwnDeadline(err):
		s.HangUp()
	default:
		s.noteBroken(err)
		s.SessionEnded()
	}
	return n, err
}

// isKnock reports whether b only asks whether the server has TLS or GSSAPI. As
// long as nothing else was sent, the server has no session to give.
func isKnock(b []byte) bool {
	return len(b) == 8 && b[0] == 0 && b[3] == 8 && b[4] == 0x04 && b[5] == 0xd2 && b[6] == 0x16 && (b[7] == 0x2f || b[7] == 0x30)
}

// Close ends the sending half at once and the socket when the server has done
// the same. It does not block.
func (s *Socket) Close() error {
	s.closing.Do(func() {
		s.deadline.Lock()
		s.farewell.Store(true)
		s.deadline.Unlock()
		if s.endSending() {
			go s.drain() // ends when the slot comes free, which Pool.Close waits for
			return
		}
		s.finish()
	})
	return nil
}

// HangUp is Close for a connection on which nobody will send a Terminate message.
func (s *Socket) HangUp() {
	if _, half := s.Conn.(interface{ CloseWrite() error }); half {
		_ = s.Close()
		return
	}
	s.closing.Do(s.finish)
}

// endSending tells the server that no more will come. It reports false when
// there is nobody to wait for. A connection of WithDialFunc that cannot be
// closed half says so with pgx's Terminate message, which only an established one sends.
func (s *Socket) endSending() bool {
	if !s.begun.Load() {
		return false
	}
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite() == nil
	}
	return s.hold.Established()
}

// SetDeadline sets a deadline, but takes none away once the socket is closed: pgx
// does so after it has given a connection up, and drain would wait for ever.
func (s *Socket) SetDeadline(t time.Time) error {
	s.deadline.Lock()
	defer s.deadline.Unlock()
	if s.farewell.Load() && t.IsZero() {
		return nil
	}
	return s.Conn.SetDeadline(t)
}

// drain reads until the server closes its end. Deadlines that pgx sets
// meanwhile, for what it thinks is left to do, do not end it.
func (s *Socket) drain() {
	defer s.finish()
	var bound time.Time
	if !s.hold.Established() {
		bound = s.opened.Add(DialBound)
	}
	for {
		_ = s.Conn.SetDeadline(bound)
		_, err := io.Copy(io.Discard, s.Conn)
		if !isOwnDeadline(err) || !bound.IsZero() && !time.Now().Before(bound) {
			return
		}
	}
}

func (s *Socket) finish() {
	_ = s.Conn.Close()
	s.SessionEnded()
}

// SessionEnded gives the socket's part of the slot back, once.
func (s *Socket) SessionEnded() {
	s.ended.Do(s.hold.Ended)
}

// isOwnDeadline reports whether err is a deadline of ours that passed, and not the
// kernel's verdict on a silent peer, which calls itself a timeout too.
func isOwnDeadline(err error) bool { return IsTimeout(err) && !errors.Is(err, syscall.ETIMEDOUT) }

// IsTimeout reports whether err calls itself a timeout.
func IsTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
