package pgdriver

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// unheard is a COMMIT whose answer nobody has waited for, because nothing depends on
// it: the transaction only read. The connection goes to its next holder meanwhile,
// whose statement the server executes after it. The answer comes before that of the
// statement, and is taken out of the stream before pgx reads it.
//
// It is used by the goroutine that uses the connection.
type unheard struct {
	awaited bool
	answers frame
	message []byte // the present one, if it is an error
	failed  *pgconn.PgError
	rest    []byte // what pgx is to read first
}

// isTaking reports whether there is an answer to be taken out.
func (u *unheard) isTaking() bool { return u.awaited }

// take returns what is left of b without the answer, in the same place.
func (u *unheard) take(b []byte) []byte {
	kept := b[:0]
	for len(b) > 0 && u.awaited {
		n := u.answers.part(b)
		switch u.answers.head[0] {
		case 'C', 'Z':
		case 'E':
			u.message = append(u.message, b[:n]...)
		default: // a notice, say
			kept = append(kept, b[:n]...)
		}
		b = b[n:]
		if u.answers.isBetween() && u.completed(u.answers.head[0]) {
			u.rest = append(u.message, b...)
			u.message = nil
			return kept
		}
	}
	return append(kept, b...)
}

// completed notes the end of a message. It reports true when that was the server's
// last word, which is not the COMMIT's answer but the session's end.
func (u *unheard) completed(kind byte) (lastWord bool) {
	switch kind {
	case 'Z':
		u.awaited = false
	case 'E':
		var m pgproto3.ErrorResponse
		if err := m.Decode(u.message[headLength:]); err != nil || isLastWord(pgconn.ErrorResponseToPgError(&m)) {
			u.awaited = false
			return true
		}
		u.failed = pgconn.ErrorResponseToPgError(&m)
		u.message = u.message[:0]
	}
	return false
}

// next moves to b what pgx is to read first.
func (u *unheard) next(b []byte) int {
	n := copy(b, u.rest)
	u.rest = u.rest[n:]
	return n
}

// CommitUnheard commits a transaction that has nothing to commit, and does not wait
// for the answer. It reports false, and has done nothing, where that cannot be: the
// transaction has failed, or has not begun, or the connection's next statement may
// not be told from the COMMIT.
func (t *tx) CommitUnheard() (sent bool) {
	c := t.c
	if !c.telling || c.IsClosed() || c.IsLate() || c.noteTxEnd() || c.PgConn().TxStatus() != 'T' || c.cancel.isPending() || c.begin(t.ctx) != nil {
		return false
	}
	b, _ := (&pgproto3.Query{String: "commit"}).Encode(nil) // cannot fail: it is short
	if _, err := c.exchange.to.Write(b); err != nil {
		return false
	}
	c.exchange.traffic.Add(1)
	c.exchange.unheard.awaited = true
	c.exchange.end()
	t.over()
	c.becomes(connstate.ActivityRunning, connstate.ActivityIdle)
	return true
}

// hear waits for the answer to a COMMIT that nobody has waited for, if there is one.
// It reports whether the server has answered.
func (c *Conn) hear(ctx context.Context) (heard bool, err error) {
	u := &c.exchange.unheard
	switch {
	case !u.awaited:
		return false, nil
	case !u.answers.isBetween():
		return true, c.roundTrip(ctx)
	}
	u.awaited = false
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CancelBound)
	defer cancel()
	for {
		msg, err := c.PgConn().ReceiveMessage(ctx)
		if err != nil {
			return false, err
		}
		switch m := msg.(type) {
		case *pgproto3.ErrorResponse:
			u.failed = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return true, nil
		}
	}
}

// TakeUnheard returns the error of a COMMIT that nobody waited for, once; nil when
// there is none.
func (c *Conn) TakeUnheard() error {
	failed := c.exchange.unheard.failed
	if failed == nil {
		return nil
	}
	c.exchange.unheard.failed = nil
	return failed
}

// txStatus is what state the server is in. pgx does not know of a COMMIT that
// nobody waited for before it has read the answer to what follows.
func (c *Conn) txStatus() byte {
	if c.exchange.unheard.awaited {
		return 'I'
	}
	return c.PgConn().TxStatus()
}
