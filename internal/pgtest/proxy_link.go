package pgtest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// link is one client's connection through a Proxy, with its server side.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	over   chan struct{} // closed by reset: stops whoever waits
	once   sync.Once
	back   sync.WaitGroup // the pump from the server to the client, and what reads for the pumps

	mu     sync.Mutex   // guards server
	server *net.TCPConn // nil until dialed
}

// run lives as long as either side does.
func (l *link) run() {
	defer l.proxy.forget(l)
	defer l.back.Wait()
	defer l.reset()
	if f, _ := l.proxy.now(); f.blackHole {
		discard(l.client)
		return
	}
	if l.startup() {
		l.pump(l.server, l.client, false)
		l.back.Wait()
	}
}

// dial opens the server's side, unless the link was cut meanwhile, and begins
// to pass on what the server says.
func (l *link) dial() bool {
	conn, err := net.Dial("tcp", l.proxy.target)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = conn.(*net.TCPConn)
	select {
	case <-l.over:
		closeHard(l.server)
		return false
	default:
	}
	l.back.Go(func() { l.pump(l.client, l.server, true) })
	return true
}

// reset ends both sides at once, with a reset rather than a goodbye.
func (l *link) reset() {
	l.once.Do(func() { close(l.over) })
	closeHard(l.client)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil {
		closeHard(l.server)
	}
}

func closeHard(conn *net.TCPConn) {
	_ = conn.SetLinger(0) // closed before: nothing to do
	_ = conn.Close()
}

// pump copies src to dst under the present faults until src ends, and then
// passes the end on. hideable is the direction in which HideFIN works.
func (l *link) pump(dst, src *net.TCPConn, hideable bool) {
	way := l.pieces(src)
	for p := range way {
		f, ok := l.hold(p.came)
		if !ok {
			return
		}
		if len(p.data) > 0 {
			if _, werr := dst.Write(p.data); werr != nil {
				l.broken(way, f.hideFIN && !hideable)
				return
			}
		}
		if p.err == nil {
			continue
		}
		if hideable && f.hideFIN {
			<-l.over
			return
		}
		if !errors.Is(p.err, io.EOF) {
			l.reset()
			return
		}
		_ = dst.CloseWrite() // the other side may be gone
		return
	}
}

// piece is data on its way, or the end of it.
type piece struct {
	data []byte
	came time.Time
	err  error
}

// onTheWay is how many pieces may be on their way in one direction.
const onTheWay = 128

// pieces reads src as data comes, so that what is delayed does not delay what
// comes after it once more. It ends with src, or with the link.
func (l *link) pieces(src *net.TCPConn) <-chan piece {
	way := make(chan piece, onTheWay)
	l.back.Go(func() {
		defer close(way)
		buf := make([]byte, 32<<10)
		for {
			n, err := src.Read(buf)
			select {
			case way <- piece{append([]byte(nil), buf[:n]...), time.Now(), err}:
			case <-l.over:
				return
			}
			if err != nil {
				return
			}
		}
	})
	return way
}

// broken deals with a side that takes no more: the other is told, or, when it
// must not learn of it, its words are lost as in a partition.
func (l *link) broken(way <-chan piece, hide bool) {
	if !hide {
		l.reset()
		return
	}
	for range way {
		continue // lost
	}
}

// hold waits out a freeze, and the delay of what came at a time. It reports
// false when the link is over.
func (l *link) hold(came time.Time) (faults, bool) {
	f, changed := l.proxy.now()
	for f.frozen {
		select {
		case <-changed:
			f, changed = l.proxy.now()
		case <-l.over:
			return f, false
		}
	}
	left := time.Until(came.Add(f.delay))
	if f.delay <= 0 || left <= 0 {
		return f, true
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return f, true
	case <-l.over:
		return f, false
	}
}

// The codes in the place of a protocol version that ask for something else.
const (
	codeCancel = 80877102
	codeTLS    = 80877103
	codeGSS    = 80877104
)

// startup passes the client's first packets on and looks for a cancel request
// among them. It reports false when the link is to end.
func (l *link) startup() bool {
	for {
		packet, err := firstPacket(l.client)
		if err != nil {
			return false
		}
		code := binary.BigEndian.Uint32(packet[4:])
		if code == codeCancel && l.proxy.countCancel() {
			_ = l.client.Close() // a goodbye, not a reset: all is well, it says
			return false
		}
		if _, ok := l.hold(time.Now()); !ok {
			return false
		}
		if l.server == nil && !l.dial() {
			return false
		}
		if _, err := l.server.Write(packet); err != nil {
			return false
		}
		if code != codeTLS && code != codeGSS {
			return true
		}
	}
}

// firstPacket reads one packet without a type byte: length, code, rest. After
// TLS was agreed on what comes is not such a packet, and is passed on unseen.
func firstPacket(r io.Reader) ([]byte, error) {
	var head [8]byte
	if n, err := io.ReadFull(r, head[:]); err != nil {
		return head[:n], err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 8 || size > 1<<16 {
		return head[:], nil
	}
	packet := make([]byte, size)
	copy(packet, head[:])
	_, err := io.ReadFull(r, packet[len(head):])
	return packet, err
}
