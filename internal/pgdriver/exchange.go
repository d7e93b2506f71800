package pgdriver

import (
	"encoding/binary"
	"io"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgproto3"
)

// exchange follows what goes over the wire of one connection: which messages
// were sent since the statement began, whether the server still owes an answer,
// and how its answer began. It sits above TLS, where messages can be seen, and
// sees what pgx does by itself and what a function given to sql.Conn.Raw does.
//
// One goroutine writes and one reads at a time; the atomics are read by others
// too: by those who look at the connection's holder, by what cancels a
// statement, and after a failure, when pgx may be saying its farewell.
type exchange struct {
	latest  atomic.Uint32 // flags | asked<<8 | answered, of the latest message; answered is 0 until something comes
	traffic atomic.Uint32 // how many times anything was sent or came
	owed    atomic.Int32  // how many times the server still has to say that it is ready
	working atomic.Bool   // what it owes is the answer to a statement
	copying atomic.Bool   // it waits for the data of a COPY
	reading atomic.Bool   // somebody waits for it to say something
	own     atomic.Bool   // a call of the pool's driver is under way, and not the caller's use of pgx
	refused atomic.Bool   // that call was a COPY whose data nobody has; see refuseCopy

	unheard  unheard     // a COMMIT of the holder before
	ahead    ahead       // a BEGIN that goes with the statement
	tags     tags        // what the server said it completed, while a transaction is under way
	reports  atomic.Bool // it has reported a parameter since somebody last looked
	timeouts atomic.Bool // a text that was sent names statement_timeout

	forgets atomic.Bool // a text that was sent may have ended all prepared statements

	timeoutsAgain bool // and was prepared: it may run again without being sent

	sending  func()    // called when a message has been sent, and before a long one
	farewell func()    // called when pgx has said that it will send no more
	to       io.Writer // the wire
	coming   frame     // the message that is being read
}

// Flags of exchange.latest.
const (
	executed = 1 << 16 // since begin, at least a part got out of what makes the server execute a statement
	extended = 1 << 17 // and that in the extended protocol
)

// begin forgets what was said before: a call of the driver begins.
func (e *exchange) begin() {
	e.latest.Store(0)
	e.ahead.state = aheadNone
	e.tags.rolledBack = false
	e.owed.Store(0)
	e.working.Store(false)
	e.copying.Store(false)
	e.refused.Store(false)
	e.own.Store(true)
}

// end notes that the call of the driver is over, and the rows it returned are closed.
func (e *exchange) end() { e.own.Store(false) }

// wasExecuted reports whether the server may have executed anything since begin.
// That pgx prepared a statement, or forgot one, executes nothing.
func (e *exchange) wasExecuted() bool { return e.latest.Load()&executed != 0 }

// unanswered reports whether the server ended the session before it looked at
// the message that was sent last: its first word after it is an error.
//
// In the extended protocol the server answers Parse and Bind before it executes
// anything, so an error that comes first comes before the execution. A simple
// query may have done its work by then, and nothing can be said.
func (e *exchange) unanswered() bool {
	latest := e.latest.Load()
	asked, answered := byte(latest>>8), byte(latest)
	return (asked == 'P' || asked == 'B' || asked == 'C') && (answered == 0 || answered == 'E')
}

// failedFirst reports whether the server's answer to the message that was sent
// last, of whatever protocol, begins with an error.
func (e *exchange) failedFirst() bool { return byte(e.latest.Load()) == 'E' }

// frontend builds pgx's side of the protocol with the exchange overheard.
func (e *exchange) frontend(r io.Reader, to io.Writer) *pgproto3.Frontend {
	e.to = to
	return pgproto3.NewFrontend(exchangeReader{r, e}, exchangeWriter{to, e})
}

type exchangeReader struct {
	io.Reader
	e *exchange
}

// Read leaves out the answers to what went ahead of the statement.
func (r exchangeReader) Read(b []byte) (int, error) {
	for {
		n, err := r.read(b)
		came := n > 0
		if came && r.e.unheard.isTaking() {
			n = len(r.e.unheard.take(b[:n]))
		}
		if n > 0 && r.e.ahead.isTaking() {
			n = len(r.e.ahead.take(b[:n]))
		}
		if came && n == 0 && err == nil {
			continue
		}
		r.note(b[:n])
		return n, err
	}
}

func (r exchangeReader) read(b []byte) (int, error) {
	if n := r.e.unheard.next(b); n > 0 {
		return n, nil
	}
	r.e.reading.Store(true)
	n, err := r.Reader.Read(b)
	r.e.reading.Store(false)
	r.e.traffic.Add(1)
	return n, err
}

// note notes what came.
func (r exchangeReader) note(b []byte) {
	if len(b) > 0 {
		if latest := r.e.latest.Load(); latest&0xff == 0 {
			r.e.latest.CompareAndSwap(latest, latest|uint32(b[0]))
		}
		r.e.hear(b)
	}
}

// hear notes the messages in b, of which the first may have begun before it and
// the last may end after it.
func (e *exchange) hear(b []byte) {
	for len(b) > 0 {
		if e.tags.reading {
			b = e.tags.take(b, &e.coming)
			continue
		}
		var kind byte
		if kind, b = e.coming.next(b); kind != 0 {
			e.heard(kind)
		}
	}
}

// heard notes one message of the server's.
func (e *exchange) heard(kind byte) {
	switch kind {
	case 'C', 'N':
		e.tags.heard(kind, e.coming.left)
	case 'S':
		e.reports.Store(true)
	case 'Z': // ready for the next
		if e.owed.Load() > 0 && e.owed.Add(-1) > 0 {
			return
		}
		e.working.Store(false)
		e.copying.Store(false)
	case 'G': // COPY FROM STDIN may begin
		if e.own.Load() {
			e.refuseCopy()
			return
		}
		e.copying.Store(true)
	}
}

// refuseCopy ends a COPY FROM STDIN that was given to a call without data. The
// server would wait for it without end: no timeout of its own applies meanwhile.
// Nobody else writes now, because the call waits for the server's answer.
func (e *exchange) refuseCopy() {
	e.refused.Store(true)
	answer := []pgproto3.FrontendMessage{&pgproto3.CopyFail{Message: "the client has no data for it"}}
	if e.latest.Load()&extended != 0 {
		answer = append(answer, &pgproto3.Sync{}) // the Sync that was sent came in the middle of the COPY, and counts as data
	}
	var b []byte
	for _, m := range answer {
		b, _ = m.Encode(b) // cannot fail: both are short
	}
	_, _ = e.to.Write(b) // if that fails, so does the reading that follows
}

type exchangeWriter struct {
	io.Writer
	e *exchange
}

// longMessage is longer than what a socket takes in any case without waiting
// for the peer.
const longMessage = 2048

func (w exchangeWriter) Write(b []byte) (int, error) {
	if len(b) == 0 || b[0] == 'X' { // Terminate asks nothing
		n, err := w.Writer.Write(b)
		if n > 0 {
			w.e.farewell()
		}
		return n, err
	}
	executes := w.e.say(b)
	if len(b) > longMessage {
		w.e.sending()
	}
	all := w.e.ahead.with(b)
	n, err := w.Writer.Write(all)
	n = max(0, n-(len(all)-len(b)))
	w.e.traffic.Add(1)
	w.e.sending()
	if n > 0 && executes {
		w.e.latest.Or(executed)
	}
	return n, err
}

// say notes the messages in b, which are whole. It reports whether the server
// will execute something on their account.
func (e *exchange) say(b []byte) (executes bool) {
	latest := e.latest.Load()&^0xffff | uint32(b[0])<<8
	owed := int32(0)
	for m := b; len(m) >= headLength && m[0] != 0; { // a startup packet has no kind
		length := min(len(m), 1+int(binary.BigEndian.Uint32(m[1:])))
		switch m[0] {
		case 'S':
			owed++
		case 'Q', 'F':
			owed++
			executes = true
			e.working.Store(true)
			e.read(m[:length])
		case 'E':
			executes = true
			latest |= extended
			e.working.Store(true)
		case 'P', 'B':
			e.working.Store(true)
			if m[0] == 'P' {
				e.read(m[:length])
			}
		case 'c', 'f':
			e.copying.Store(false)
		}
		m = m[length:]
	}
	e.latest.Store(latest)
	if owed > 0 {
		e.owed.Add(owed)
	}
	return executes
}

// read looks at the text of a statement that is sent.
func (e *exchange) read(m []byte) {
	if namesTimeout(m) {
		e.timeouts.Store(true)
		e.timeoutsAgain = e.timeoutsAgain || m[0] == 'P'
	}
	if endsPrepared(m) {
		e.forgets.Store(true)
	}
	if e.tags.under.Load() && chains(m) {
		e.tags.chain = true
	}
}
