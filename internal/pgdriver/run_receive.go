package pgdriver

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// maxCopied bounds how much of an answer is kept for a statement that may as
// well be executed again, alone, where its rows are read as they come.
const maxCopied = 1 << 20

// answer is what has come so far of the answer to one statement.
type answer struct {
	heard     bool // anything that belongs to it
	described []pgconn.FieldDescription
	misfit    bool // the statement is not any more what its arguments and formats were chosen for
	fields    []pgconn.FieldDescription
	count     int // of rows
	size      int // of the rows, in bytes
	tag       pgconn.CommandTag
	err       *pgconn.PgError
	lost      error // the session ended
}

// receive takes in one message. Which statement it belongs to is known by
// counting ReadyForQuery: there is one for each Sync, whatever went wrong.
func (r *Run) receive(msg pgproto3.BackendMessage) error {
	switch m := msg.(type) {
	case *pgproto3.ParameterStatus, *pgproto3.NoticeResponse, *pgproto3.NotificationResponse:
		return nil // nobody's result; pgconn has dealt with it
	case *pgproto3.ReadyForQuery:
		return r.ready(m.TxStatus)
	case *pgproto3.ErrorResponse:
		if r.answer.err == nil {
			r.answer.err = pgconn.ErrorResponseToPgError(m)
		}
		return nil // heard only says whether anything came before it
	}
	r.answer.heard = true
	switch m := msg.(type) {
	case *pgproto3.ParseComplete, *pgproto3.ParameterDescription, *pgproto3.BindComplete, *pgproto3.EmptyQueryResponse, *pgproto3.CloseComplete:
	case *pgproto3.NoData:
		r.describe(nil)
	case *pgproto3.RowDescription:
		r.describe(m.Fields)
	case *pgproto3.DataRow:
		return r.row(m)
	case *pgproto3.CommandComplete:
		r.answer.tag = pgconn.NewCommandTag(string(m.CommandTag))
	default:
		return fmt.Errorf("message %T does not belong to the answer to a statement", msg)
	}
	return nil
}

// describe takes in columns: those of a statement that is being prepared, or
// those of one of which they were not known.
func (r *Run) describe(columns []pgproto3.FieldDescription) {
	c, a := r.calls[r.next], &r.answer
	a.fields = make([]pgconn.FieldDescription, len(columns))
	for i, f := range columns {
		a.fields[i] = pgconn.FieldDescription{Name: string(f.Name), TableOID: f.TableOID, TableAttributeNumber: f.TableAttributeNumber,
			DataTypeOID: f.DataTypeOID, DataTypeSize: f.DataTypeSize, TypeModifier: f.TypeModifier, Format: f.Format}
	}
	if !c.prepares || a.described != nil {
		return
	}
	v := c.prepared.views[c.Face]
	a.described, a.misfit = slices.Clone(a.fields), !c.Face.fits(r.link.types, v, a.fields)
	for i := range a.fields {
		a.fields[i].Format = v.format(i)
	}
}

// row copies a row.
func (r *Run) row(m *pgproto3.DataRow) error {
	a, c := &r.answer, r.calls[r.next]
	if a.fields == nil {
		a.fields = c.prepared.views[c.Face].fields
	}
	if len(m.Values) != len(a.fields) {
		return fmt.Errorf("a row of %d values where %d were described", len(m.Values), len(a.fields))
	}
	if !c.isOpen() || a.size > maxCopied && c.st.Repeatable() {
		for _, v := range m.Values {
			a.size += 4 + len(v)
		}
		return nil
	}
	a.count++
	r.link.rows = appendRow(r.link.rows, m.Values)
	a.size = len(r.link.rows)
	return nil
}

// ready ends an answer.
func (r *Run) ready(status byte) error {
	if r.closes {
		r.closes, r.answer = false, answer{}
		return nil
	}
	c, now := r.calls[r.next], time.Now()
	r.learn(c, now)
	if c.isOpen() {
		c.settle(r.conclude(c))
	}
	r.link.rows = emptied(r.link.rows)
	r.bytes -= r.flight[r.next]
	r.next++
	r.last, r.answer = now, answer{}
	r.cancelEnded()
	r.expect()
	if status != 'I' {
		return fmt.Errorf("a statement left its transaction in state %q", status)
	}
	return nil
}

// emptied returns b without its contents, unless it has become large.
func emptied(b []byte) []byte {
	if cap(b) > largeAfter {
		return nil
	}
	return b[:0]
}

// learn takes what the answer says about the statement.
func (r *Run) learn(c *Call, now time.Time) {
	a, p := &r.answer, c.prepared
	switch {
	case a.err != nil && isStale(a.err), a.misfit:
		r.link.drop(p)
		c.st.Forget()
	case a.err != nil:
		if !p.known {
			r.link.drop(p) // perhaps it was not even prepared
		}
	default:
		took := now.Sub(r.last)
		if r.next == 0 {
			took -= r.link.table.Floor()
		}
		c.st.RanShared(Execution{Took: took, Size: a.size, Tag: a.tag, Woke: r.next == 0}, now)
		r.confirm(p)
	}
}

// confirm notes that the statement is prepared, with the columns that the server described.
func (r *Run) confirm(p *prepared) {
	p.known = true
	if d := r.answer.described; d != nil && !slices.Equal(d, p.Fields) {
		sd := *p.StatementDescription
		sd.Fields = d
		p.StatementDescription = &sd
		r.link.see(p)
		p.st.Described(&sd)
	}
}

// isStale reports whether an error may come from a statement having been
// prepared before something changed: the tables and types that it uses, or the
// set of prepared statements. It is prepared anew then.
func isStale(err *pgconn.PgError) bool {
	return err.Code == stateBadBinary || slices.Contains(staleClasses, err.Code[:min(2, len(err.Code))])
}

// staleClasses are the classes of such errors: feature not supported (a cached
// plan must not change its result type), protocol violation (another number of
// columns), invalid statement name, and whatever the parser says.
var staleClasses = []string{"0A", "08", "26", "42"}

// conclude makes the answer of c.
func (r *Run) conclude(c *Call) Answer {
	a := &r.answer
	switch {
	case a.err != nil:
		return Answer{Err: a.err, Again: r.isForeign(c, a.err)}
	case a.misfit && c.st.Repeatable(), a.size > maxCopied && c.st.Repeatable():
		return Answer{Again: true}
	}
	fields := a.fields
	if fields == nil {
		fields = c.prepared.views[c.Face].fields
	}
	rows := append([]byte(nil), r.link.rows...)
	return Answer{Result: &Result{Fields: fields, Tag: a.tag, Count: a.count, rows: rows}}
}

// isForeign reports whether an error would not have come, or may not have come,
// had the statement been executed alone. Its transaction was rolled back, so it
// can be executed again.
func (r *Run) isForeign(c *Call, err *pgconn.PgError) bool {
	switch err.Code {
	case StateQueryCanceled:
		return r.canceled
	case stateNotSupported, StateProtocolViolation, stateNoStatement, stateDuplicateStatement, stateBadBinary:
		return true // prepared before something changed
	}
	return c.prepares && isStale(err)
}

const (
	stateNotSupported       = "0A000"
	stateNoStatement        = "26000"
	stateDuplicateStatement = "42P05"
	stateBadBinary          = "22P03"
)

// broken answers everybody when the session has ended, or cannot go on. What
// came whole counts. What was not sent, or stood behind the server's last word,
// was not executed.
func (r *Run) broken(err error) {
	said, fatal := r.lastWord(err)
	for i := r.next; i < len(r.calls); i++ {
		a := Answer{Err: ErrLost}
		switch {
		case i >= r.sent, fatal && (i > r.next || !r.answer.heard):
			a.Again = true
		case i == r.next && said != nil:
			a = Answer{Err: said, Again: r.isForeign(r.calls[i], said)}
		}
		if r.calls[i].isOpen() {
			r.calls[i].settle(a)
		}
	}
	r.next = len(r.calls)
	r.answer = answer{lost: err}
}

// lastWord is the error that the server sent last, if it did, and whether it
// ended the session with it.
func (r *Run) lastWord(err error) (said *pgconn.PgError, fatal bool) {
	if !errors.As(err, &said) {
		said = r.answer.err
	}
	if said == nil {
		return nil, false
	}
	return said, isLastWord(said)
}

// isLastWord reports whether the server ended the session with an error.
func isLastWord(err *pgconn.PgError) bool {
	severity := cmp.Or(err.SeverityUnlocalized, err.Severity)
	return severity == "FATAL" || severity == "PANIC"
}
