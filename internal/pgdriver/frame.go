package pgdriver

import "encoding/binary"

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
	n, whole := f.takeHead(b)
	if !whole {
		return 0, nil
	}
	return f.head[0], b[n:]
}

// takeHead takes from b what the head of a message still lacks, and reports
// whether that made it whole.
func (f *frame) takeHead(b []byte) (n int, whole bool) {
	n = copy(f.head[f.have:], b)
	if f.have += n; f.have < headLength {
		return n, false
	}
	f.have = 0
	f.left = max(0, int(binary.BigEndian.Uint32(f.head[1:]))-(headLength-1))
	return n, true
}

// isBetween reports whether one message has ended and the next has not begun.
func (f *frame) isBetween() bool { return f.have == 0 && f.left == 0 }

// part is how many bytes of b belong to the message that it begins in.
func (f *frame) part(b []byte) int {
	n := 0
	if f.left == 0 {
		var whole bool
		if n, whole = f.takeHead(b); !whole {
			return n
		}
	}
	body := min(f.left, len(b)-n)
	f.left -= body
	return n + body
}
