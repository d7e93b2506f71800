package pgdriver

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/jackc/pgx/v5/pgproto3"
)

// encoded are messages of the server's as they come over the wire.
func encoded(messages ...pgproto3.BackendMessage) (b []byte) {
	for _, m := range messages {
		b, _ = m.Encode(b)
	}
	return b
}

// pieces reads b in two pieces.
func pieces(b []byte, at int) io.Reader {
	return io.MultiReader(bytes.NewReader(b[:at]), bytes.NewReader(b[at:]))
}

// TestUnheardIsTakenOut has the answer to a COMMIT that nobody waited for come in every
// two pieces, and byte by byte, before those to a BEGIN and to a statement.
func TestUnheardIsTakenOut(t *testing.T) {
	notice := &pgproto3.NoticeResponse{Severity: "NOTICE", Message: "hello"}
	lastWord := &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P01", Message: "shutting down"}
	localized := &pgproto3.ErrorResponse{Severity: "SCHLIMM", SeverityUnlocalized: "PANIC", Code: "57P02"}
	failure := &pgproto3.ErrorResponse{Severity: "ERROR", Code: "40001", Message: "conflict"}
	done, ready := &pgproto3.CommandComplete{CommandTag: []byte("COMMIT")}, &pgproto3.ReadyForQuery{TxStatus: 'I'}
	begun := []pgproto3.BackendMessage{&pgproto3.ParseComplete{}, &pgproto3.BindComplete{}, &pgproto3.CommandComplete{CommandTag: []byte("BEGIN")}}
	statement := encoded(&pgproto3.ParseComplete{}, &pgproto3.BindComplete{}, &pgproto3.DataRow{Values: [][]byte{[]byte("CZE")}},
		&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}, &pgproto3.ReadyForQuery{TxStatus: 'T'})
	tests := map[string]struct {
		came   []byte
		begins bool
		want   []byte
		failed string
	}{
		"committed":        {append(encoded(done, ready), statement...), false, statement, ""},
		"and begun":        {append(encoded(append([]pgproto3.BackendMessage{done, ready}, begun...)...), statement...), true, statement, ""},
		"noticed":          {append(encoded(notice, done, notice, ready, notice), statement...), false, append(encoded(notice, notice, notice), statement...), ""},
		"failed":           {append(encoded(failure, ready), statement...), false, statement, "40001"},
		"failed and begun": {append(encoded(append([]pgproto3.BackendMessage{failure, ready}, begun...)...), statement...), true, statement, "40001"},
		"last word":        {encoded(notice, lastWord), false, encoded(notice, lastWord), ""},
		"in other words":   {encoded(localized), false, encoded(localized), ""},
		"closed":           {encoded(done), false, nil, ""},
		"half an error":    {encoded(failure)[:20], false, nil, ""},
	}
	for name, test := range tests {
		read := func(r io.Reader) {
			t.Helper()
			e := &exchange{}
			e.unheard.awaited = true
			if test.begins {
				e.ahead.arm("begin")
				e.ahead.with(nil)
			}
			got, err := io.ReadAll(exchangeReader{r, e})
			if err != nil || !bytes.Equal(got, test.want) {
				t.Errorf("%s: %q, %v, want %q", name, got, err, test.want)
			}
			failed := ""
			if e.unheard.failed != nil {
				failed = e.unheard.failed.Code
			}
			if failed != test.failed {
				t.Errorf("%s: failed %q, want %q", name, failed, test.failed)
			}
			if heard := len(test.want) > 0; heard && e.unheard.awaited {
				t.Errorf("%s: still awaited", name)
			}
		}
		for at := range test.came {
			read(pieces(test.came, at))
		}
		read(iotest.OneByteReader(bytes.NewReader(test.came)))
	}
}
