package bench

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// instantServer is a connection to a server that answers `select 1`, and what
// the contenders ask of a new session, within the call that writes it: no
// network, no other process, no goroutine.
type instantServer struct {
	net.Conn // none: whatever is not below panics
	started  bool
	asked    []byte        // that is not a whole message yet
	answer   []byte        // that was not read yet
	more     chan struct{} // that there may be something to read
	closed   chan struct{}
	close    func()
}

func dialInstantServer(context.Context, string, string) (net.Conn, error) {
	s := &instantServer{more: make(chan struct{}, 1), closed: make(chan struct{})}
	s.close = sync.OnceFunc(func() { close(s.closed) })
	return s, nil
}

// The answers, of which those to a message are sent together.
var (
	instantWelcome = encoded(&pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"},
		&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"}, &pgproto3.BackendKeyData{ProcessID: 1, SecretKey: make([]byte, 4)}, instantReady)
	instantReady    = &pgproto3.ReadyForQuery{TxStatus: 'I'}
	instantDone     = &pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}
	instantSession  = encoded(instantColumns(pgtype.TextFormatCode, 2), &pgproto3.DataRow{Values: [][]byte{[]byte("1"), []byte("30000")}}, instantDone, instantReady)
	instantPrepared = encoded(&pgproto3.ParameterDescription{}, instantColumns(pgtype.TextFormatCode, 1))
	instantOpen     = encoded(instantColumns(pgtype.BinaryFormatCode, 1))
	instantRow      = encoded(&pgproto3.DataRow{Values: [][]byte{{0, 0, 0, 1}}}, instantDone)
	instantAnswers  = map[byte][]byte{'P': encoded(&pgproto3.ParseComplete{}), 'B': encoded(&pgproto3.BindComplete{}), 'E': instantRow, 'S': encoded(instantReady), 'Q': instantSession}
)

func instantColumns(format int16, n int) *pgproto3.RowDescription {
	d := &pgproto3.RowDescription{}
	for range n {
		d.Fields = append(d.Fields, pgproto3.FieldDescription{Name: []byte("?column?"), DataTypeOID: pgtype.Int4OID, DataTypeSize: 4, Format: format})
	}
	return d
}

func encoded(messages ...pgproto3.BackendMessage) (b []byte) {
	for _, m := range messages {
		var err error
		if b, err = m.Encode(b); err != nil {
			panic(err)
		}
	}
	return b
}

func (s *instantServer) Write(b []byte) (int, error) {
	s.asked = append(s.asked, b...)
	for rest := s.asked; ; {
		m := s.message(rest)
		if m == nil {
			s.asked = append(s.asked[:0], rest...)
			break
		}
		s.answer = append(s.answer, s.answerTo(m)...)
		rest = rest[len(m):]
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

// message returns the first whole message of b; nil when there is none.
func (s *instantServer) message(b []byte) []byte {
	kind := 1
	if !s.started {
		kind = 0
	}
	if len(b) < kind+4 {
		return nil
	}
	if n := kind + int(binary.BigEndian.Uint32(b[kind:])); n <= len(b) {
		return b[:n]
	}
	return nil
}

func (s *instantServer) answerTo(m []byte) []byte {
	switch {
	case !s.started:
		s.started = true
		return instantWelcome
	case m[0] == 'X':
		s.close()
	case m[0] == 'D' && m[5] == 'S':
		return instantPrepared
	case m[0] == 'D':
		return instantOpen
	}
	return instantAnswers[m[0]]
}

func (s *instantServer) Read(b []byte) (int, error) {
	for len(s.answer) == 0 {
		select {
		case <-s.more:
		case <-s.closed:
			return 0, io.EOF
		}
	}
	n := copy(b, s.answer)
	s.answer = append(s.answer[:0], s.answer[n:]...)
	return n, nil
}

func (s *instantServer) Close() error {
	s.close()
	return nil
}

func (*instantServer) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*instantServer) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*instantServer) SetDeadline(time.Time) error      { return nil }
func (*instantServer) SetReadDeadline(time.Time) error  { return nil }
func (*instantServer) SetWriteDeadline(time.Time) error { return nil }

// TestInstantServerAnswers sees that every contender gets its row of it, or the
// figures would be those of errors.
func TestInstantServerAnswers(t *testing.T) {
	for _, c := range contendersOver(t, instantURL, 2, dialInstantServer) {
		for range 3 {
			if err := c.query(t.Context(), "select 1"); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if err := c.query(t.Context(), strings.Repeat(" ", 10_000)+"select 1"); err != nil {
			t.Errorf("%s, with a long text: %v", c.name, err)
		}
	}
}
