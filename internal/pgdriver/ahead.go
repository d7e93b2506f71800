package pgdriver

import "github.com/jackc/pgx/v5/pgproto3"

// ahead is a BEGIN that goes ahead of a statement, in the same write and without
// a Sync of its own: when the server refuses it, it skips the statement. The
// answers to it are taken out of the stream before pgx reads them; an error in
// their place is the statement's.
//
// A Flush follows it, so that the answers come before the statement is executed.
// A connection that is lost before they came was dead, or the server was; one
// that is lost after them may have been lost because of the statement.
//
// It is used by the goroutine that uses the connection.
type ahead struct {
	messages []byte // kept for the next
	state    aheadState
	answers  frame // which are being taken out
	drop     bool  // the present one is
	both     []byte
}

type aheadState uint8

const (
	aheadNone    aheadState = iota
	aheadArmed              // it goes with what is written next
	aheadSent               // its answers are to come
	aheadHeard              // the server has begun the transaction
	aheadRefused            // it has not, and said why
)

// arm has sql, a BEGIN, go with what is written next.
func (a *ahead) arm(sql string) {
	b := a.messages[:0]
	for _, m := range []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Flush{}} {
		b, _ = m.Encode(b) // cannot fail: they are short
	}
	*a = ahead{messages: b, state: aheadArmed, both: a.both}
}

// with returns what is to be written for b.
func (a *ahead) with(b []byte) []byte {
	if a.state != aheadArmed {
		return b
	}
	a.state = aheadSent
	a.both = append(append(a.both[:0], a.messages...), b...)
	b = a.both
	if cap(b) > maxRequest {
		a.both = nil
	}
	return b
}

// isTaking reports whether there may be answers to be taken out.
func (a *ahead) isTaking() bool { return a.state == aheadSent || !a.answers.isBetween() }

// take returns what is left of b without the answers, in the same place.
func (a *ahead) take(b []byte) []byte {
	kept := b[:0]
	for len(b) > 0 {
		if a.answers.isBetween() && !a.isAwaited(b[0]) {
			return append(kept, b...)
		}
		n := a.answers.part(b)
		if !a.drop {
			kept = append(kept, b[:n]...)
		}
		b = b[n:]
	}
	return kept
}

// isAwaited looks at the kind of the next message. It reports false when all
// that follows is pgx's.
func (a *ahead) isAwaited(kind byte) bool {
	if a.state != aheadSent {
		return false
	}
	switch kind {
	case '1', '2': // ParseComplete, BindComplete
		a.drop = true
	case 'C': // CommandComplete
		a.drop, a.state = true, aheadHeard
	case 'E':
		a.state = aheadRefused
		return false
	default: // a notice, say
		a.drop = false
	}
	return true
}
