package pool

import (
	"encoding/binary"
	"io"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgproto3"
)

// dialogue follows what goes over the wire of one connection: which messages
// were sent since the statement began, whether the server still owes an answer,
// and how its answer began. It sits above TLS, where messages can be seen, and
// sees what pgx does by itself and what a function given to sql.Conn.Raw does.
//
// One goroutine writes and one reads at a time; the atomics are read by others
// too: by those who look at the connection's holder, by what cancels a
// statement, and after a failure, when pgx may be saying its farewell.
type dialogue struct {
	latest  atomic.Uint32 // flags | asked<<8 | answered, of the latest message; answered is 0 until something comes
	traffic atomic.Uint32 // how many times anything was sent or came
	owed    atomic.Int32  // how many times the server still has to say that it is ready
	working atomic.Bool   // what it owes is the answer to a statement
	copying atomic.Bool   // it waits for the data of a COPY
	reading atomic.Bool   // somebody waits for it to say something
	own     atomic.Bool   // a call of the pool's driver is under way, and not the caller's use of pgx
	refused atomic.Bool   // that call was a COPY whose data nobody has; see refuseCopy

	sending  func()    // called when a message has been sent, and before a long one
	farewell func()    // called when pgx has said that it will send no more
	to       io.Writer // the wire
	coming   frame     // the message that is being read
}

// Flags of dialogue.latest.
const (
	executed = 1 << 16 // since begin, at least a part got out of what makes the server execute a statement
	extended = 1 << 17 // and that in the extended protocol
)

// begin forgets what was said before: a call of the driver begins.
func (d *dialogue) begin() {
	d.latest.Store(0)
	d.owed.Store(0)
	d.working.Store(false)
	d.copying.Store(false)
	d.refused.Store(false)
	d.own.Store(true)
}

// end notes that the call of the driver is over, and the rows it returned are closed.
func (d *dialogue) end() { d.own.Store(false) }

// wasExecuted reports whether the server may have executed anything since begin.
// That pgx prepared a statement, or forgot one, executes nothing.
func (d *dialogue) wasExecuted() bool { return d.latest.Load()&executed != 0 }

// unanswered reports whether the server ended the session before it looked at
// the message that was sent last: its first word after it is an error.
//
// In the extended protocol the server answers Parse and Bind before it executes
// anything, so an error that comes first comes before the execution. A simple
// query may have done its work by then, and nothing can be said.
func (d *dialogue) unanswered() bool {
	latest := d.latest.Load()
	asked, answered := byte(latest>>8), byte(latest)
	return (asked == 'P' || asked == 'B' || asked == 'C') && (answered == 0 || answered == 'E')
}

// failedFirst reports whether the server's answer to the message that was sent
// last, of whatever protocol, begins with an error.
func (d *dialogue) failedFirst() bool { return byte(d.latest.Load()) == 'E' }

// frontend builds pgx's side of the protocol with the dialogue overheard.
func (d *dialogue) frontend(r io.Reader, to io.Writer) *pgproto3.Frontend {
	d.to = to
	return pgproto3.NewFrontend(dialogueReader{r, d}, dialogueWriter{to, d})
}

type dialogueReader struct {
	io.Reader
	d *dialogue
}

func (r dialogueReader) Read(b []byte) (int, error) {
	r.d.reading.Store(true)
	n, err := r.Reader.Read(b)
	r.d.reading.Store(false)
	r.d.traffic.Add(1)
	if n > 0 {
		if latest := r.d.latest.Load(); latest&0xff == 0 {
			r.d.latest.CompareAndSwap(latest, latest|uint32(b[0]))
		}
		r.d.hear(b[:n])
	}
	return n, err
}

// hear notes the messages in b, of which the first may have begun before it and
// the last may end after it.
func (d *dialogue) hear(b []byte) {
	for len(b) > 0 {
		var kind byte
		if kind, b = d.coming.next(b); kind != 0 {
			d.heard(kind)
		}
	}
}

// heard notes one message of the server's.
func (d *dialogue) heard(kind byte) {
	switch kind {
	case 'Z': // ready for the next
		if d.owed.Load() > 0 && d.owed.Add(-1) > 0 {
			return
		}
		d.working.Store(false)
		d.copying.Store(false)
	case 'G': // COPY FROM STDIN may begin
		if d.own.Load() {
			d.refuseCopy()
			return
		}
		d.copying.Store(true)
	}
}

// refuseCopy ends a COPY FROM STDIN that was given to a call without data. The
// server would wait for it without end: no timeout of its own applies meanwhile.
// Nobody else writes now, because the call waits for the server's answer.
func (d *dialogue) refuseCopy() {
	d.refused.Store(true)
	answer := []pgproto3.FrontendMessage{&pgproto3.CopyFail{Message: "the client has no data for it"}}
	if d.latest.Load()&extended != 0 {
		answer = append(answer, &pgproto3.Sync{}) // the Sync that was sent came in the middle of the COPY, and counts as data
	}
	var b []byte
	for _, m := range answer {
		b, _ = m.Encode(b) // cannot fail: both are short
	}
	_, _ = d.to.Write(b) // if that fails, so does the reading that follows
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
		n, err := w.Writer.Write(b)
		if n > 0 {
			w.d.farewell()
		}
		return n, err
	}
	executes := w.d.say(b)
	if len(b) > longMessage {
		w.d.sending()
	}
	n, err := w.Writer.Write(b)
	w.d.traffic.Add(1)
	w.d.sending()
	if n > 0 && executes {
		w.d.latest.Or(executed)
	}
	return n, err
}

// say notes the messages in b, which are whole. It reports whether the server
// will execute something on their account.
func (d *dialogue) say(b []byte) (executes bool) {
	latest := d.latest.Load()&^0xffff | uint32(b[0])<<8
	owed := int32(0)
	for m := b; len(m) >= headLength && m[0] != 0; { // a startup packet has no kind
		switch m[0] {
		case 'S':
			owed++
		case 'Q', 'F':
			owed++
			executes = true
			d.working.Store(true)
		case 'E':
			executes = true
			latest |= extended
			d.working.Store(true)
		case 'P', 'B':
			d.working.Store(true)
		case 'c', 'f':
			d.copying.Store(false)
		}
		m = m[min(len(m), 1+int(binary.BigEndian.Uint32(m[1:]))):]
	}
	d.latest.Store(latest)
	if owed > 0 {
		d.owed.Add(owed)
	}
	return executes
}

// headLength is how long the head of a message is: its kind and its length.
const headLength = 5

// frame finds the beginnings of messages in a stream that comes in pieces.
type frame struct {
	head [headLength]byte
	have int // how much of the head has come
	left int // how much of the message is still to come
}

// next takes from b up to the end of a message's head, and returns its kind, or
// 0 when b ended before. What it returns of b is what follows.
func (f *frame) next(b []byte) (kind byte, rest []byte) {
	if f.left >= len(b) {
		f.left -= len(b)
		return 0, nil
	}
	b, f.left = b[f.left:], 0
	n := copy(f.head[f.have:], b)
	if f.have += n; f.have < headLength {
		return 0, nil
	}
	f.have = 0
	f.left = max(0, int(binary.BigEndian.Uint32(f.head[1:]))-(headLength-1))
	return f.head[0], b[n:]
}
