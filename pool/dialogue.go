package pool

import (
	"io"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgproto3"
)

// dialogue remembers how the latest exchange of a connection began: the first byte
// of what was sent, and the first byte that came back after it. It sits above
// TLS, where messages can be seen.
//
// It is read after a failure, when pgx may be saying its farewell in the
// background: hence the atomic.
type dialogue struct {
	began   atomic.Uint32 // sent | asked<<8 | answered; answered is 0 until something comes
	traffic atomic.Uint32 // how many times anything was sent or came
	sending func()        // called when a message has been sent, and before a long one
}

// sent marks that at least a part of the latest message got out.
const sent = 1 << 16

// begin forgets what was said before.
func (d *dialogue) begin() { d.began.Store(0) }

// wasSent reports whether the server may have read any of the latest message.
func (d *dialogue) wasSent() bool { return d.began.Load()&sent != 0 }

// isAwaited reports whether the server has said nothing yet to the latest message.
func (d *dialogue) isAwaited() bool {
	began := d.began.Load()
	return began&sent != 0 && began&0xff == 0
}

// frontend builds pgx's side of the protocol with the dialogue overheard.
func (d *dialogue) frontend(r io.Reader, to io.Writer) *pgproto3.Frontend {
	return pgproto3.NewFrontend(dialogueReader{r, d}, dialogueWriter{to, d})
}

// unanswered reports whether the server ended the session before it looked at
// the statement that was sent last: its first word after it is an error.
//
// In the extended protocol the server answers Parse and Bind before it executes
// anything, so an error that comes first comes before the execution. A simple
// query may have done its work by then, and nothing can be said.
func (d *dialogue) unanswered() bool {
	began := d.began.Load()
	asked, answered := byte(began>>8), byte(began)
	return (asked == 'P' || asked == 'B') && (answered == 0 || answered == 'E')
}

type dialogueReader struct {
	io.Reader
	d *dialogue
}

func (r dialogueReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.d.traffic.Add(1)
	if began := r.d.began.Load(); n > 0 && began&0xff == 0 {
		r.d.began.CompareAndSwap(began, began|uint32(b[0]))
	}
	return n, err
}

type dialogueWriter struct {
	io.Writer
	d *dialogue
}

// longMessage is longer than what a socket takes in any case without waiting
// for the peer.
const longMessage = 2048

func (w dialogueWriter) Write(b []byte) (int, error) {
	if len(b) == 0 || b[0] == 'X' { // Terminate asks nothing
		return w.Writer.Write(b)
	}
	if len(b) > longMessage {
		w.d.sending()
	}
	n, err := w.Writer.Write(b)
	w.d.traffic.Add(1)
	w.d.sending()
	began := uint32(b[0]) << 8
	if n > 0 {
		began |= sent
	}
	w.d.began.Store(began)
	return n, err
}
