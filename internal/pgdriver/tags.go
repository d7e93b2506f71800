package pgdriver

import (
	"bytes"
	"sync/atomic"
)

// tags reads in the server's answers whether a transaction of the driver's was
// ended by what its caller ran, where the status that the server reports does not
// tell: another one has begun in the same round trip.
//
// COMMIT says so by itself. ROLLBACK is also what ROLLBACK TO says: it was one
// of the transaction when BEGIN follows without the warning that there is one
// already, or when the statement's text has CHAIN in it.
type tags struct {
	under atomic.Bool // a transaction of the driver's is under way, and its own end has not been sent
	ended atomic.Bool // it was ended by somebody else
	chain bool        // CHAIN was in a text that was sent since it began

	reading    bool // a tag is being read
	tag        [maxTag]byte
	have       int
	rolledBack bool // the tag before was ROLLBACK
	warned     bool // and there was a warning since
}

// maxTag is as much of a tag as has to be known.
const maxTag = 20

// begin notes that the driver has begun a transaction.
func (t *tags) begin() {
	t.ended.Store(false)
	t.chain, t.rolledBack = false, false
	t.under.Store(true)
}

// end notes that the driver ends it.
func (t *tags) end() { t.under.Store(false) }

// heard notes the head of a message whose body has left bytes.
func (t *tags) heard(kind byte, left int) {
	switch {
	case !t.under.Load():
	case kind == 'N':
		t.warned = true
	case left > 0:
		t.reading, t.have = true, 0
	}
}

// take reads on in a tag, and returns what follows in b.
func (t *tags) take(b []byte, f *frame) (rest []byte) {
	n := min(len(b), f.left)
	t.have += copy(t.tag[t.have:], b[:n])
	if f.left -= n; f.left == 0 {
		t.reading = false
		t.completed(bytes.TrimRight(t.tag[:t.have], "\x00"))
	}
	return b[n:]
}

// completed notes that the server has completed what tag says.
func (t *tags) completed(tag []byte) {
	rolledBack := false
	switch string(tag) {
	case "COMMIT", "PREPARE TRANSACTION":
		t.ended.Store(true)
	case "ROLLBACK":
		if rolledBack = true; t.chain {
			t.ended.Store(true)
		}
	case "BEGIN", "START TRANSACTION":
		if t.rolledBack && !t.warned {
			t.ended.Store(true)
		}
	}
	t.rolledBack, t.warned = rolledBack, false
}

// chains reports whether a statement says CHAIN, in whatever case.
func chains(text []byte) bool {
	for i := bytes.IndexAny(text, "cC"); i >= 0 && i+5 <= len(text); {
		if bytes.EqualFold(text[i:i+5], []byte("chain")) {
			return true
		}
		next := bytes.IndexAny(text[i+1:], "cC")
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}
