package pgdriver

import (
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// maxRequest is how many bytes of requests may be on their way to the server
// without an answer. So little fits into the socket's buffers in any case: to
// write it never waits for the server, which might be waiting for us to read.
const maxRequest = 16 << 10

// Call is one statement of one caller, with its arguments encoded, ready to
// take part in a Run. It belongs to its caller, who waits for Ready, until that
// is closed or Leave reports true.
type Call struct {
	SQL   string
	Face  Face
	Owner any      // whatever its caller wants to find here
	Needs Position // what a standby must have replayed to answer it

	st    *Statement
	desc  *pgconn.StatementDescription // what the arguments are encoded for
	codec *codec                       // the leader's until the request is sent
	size  int                          // of the request, in bytes, at most, but for preparing

	run *Run // set before anybody is woken

	// The leader's:

	prepared *prepared // on the session of the run
	prepares bool      // it is prepared in the run
	woken    bool

	state  atomic.Int32
	ready  chan struct{}
	answer Answer
}

// Answer is what became of a call.
type Answer struct {
	Result *Result
	Err    error
	Again  bool // it was not executed, or may be executed twice: it is to run alone, from the start
}

// The states of a call. The caller takes it from waiting to gone; whoever
// leads its run takes it to the others.
const (
	callWaiting int32 = iota
	callChosen        // its caller is to lead, once it is woken
	callLeading       // its caller reads the answers of the run
	callSettled       // its answer is there
	callGone          // its caller has left
)

const perMessages, perParameter = 64, 6 // bytes of a request beyond its values and text, at most

// NewCall encodes the arguments of a statement that shares. It runs what the
// arguments bring along, a driver.Valuer say, and returns nil when the call
// cannot take part: for its size, or because of an error, which the execution
// of the statement alone will show.
func NewCall(st *Statement, face Face, args []any) *Call {
	desc := st.desc.Load()
	if desc == nil || len(args) != len(desc.ParamOIDs) || HasOptions(args) {
		return nil
	}
	c := &Call{SQL: st.SQL, Face: face, st: st, desc: desc, codec: st.table.codec(), ready: make(chan struct{})}
	if !c.encode(args) {
		return nil // its codec may be in any state
	}
	return c
}

// encode reports false when the arguments do not encode, or panic.
func (c *Call) encode(args []any) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			ok = false // it will panic again where its caller sees it
		}
	}()
	if c.codec.builder.Build(c.codec.types, c.desc, args) != nil {
		return false
	}
	c.size = perMessages
	for _, v := range c.codec.builder.ParamValues {
		c.size += perParameter + len(v)
	}
	return c.size+c.preparing() <= maxRequest
}

// preparing is how many bytes more the request has where it prepares the statement.
func (c *Call) preparing() int { return perMessages + len(c.SQL) + 4*len(c.desc.ParamOIDs) }

// HasOptions reports whether args begin with pgx's own options, by which a
// query may become a simple one, or another.
func HasOptions(args []any) bool {
	return len(args) > 0 && isOption(args[0])
}

func isOption(arg any) bool {
	switch arg.(type) {
	case pgx.QueryExecMode, pgx.QueryRewriter, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
		return true
	}
	return false
}

// Statement is what is known of the call's statement.
func (c *Call) Statement() *Statement { return c.st }

// Ready is closed when the caller has something to do: take the answer, or
// lead the run (see Leads).
func (c *Call) Ready() <-chan struct{} { return c.ready }

// Leads reports whether the caller has to carry the run on.
func (c *Call) Leads() bool {
	s := c.state.Load()
	return s == callChosen || s == callLeading
}

// Answer returns what became of the call, once Ready was closed or Leave has
// reported false, and the caller does not lead.
func (c *Call) Answer() Answer { return c.answer }

// Leave is for a caller whose context has ended. It reports false when the
// call is settled, or leads: the caller goes on with that.
func (c *Call) Leave() bool { return c.state.CompareAndSwap(callWaiting, callGone) }

// isLeft reports whether nobody waits for the answer.
func (c *Call) isLeft() bool { return c.state.Load() == callGone }

// isOpen reports whether the caller waits for an answer that has not come.
func (c *Call) isOpen() bool {
	s := c.state.Load()
	return s == callWaiting || s == callChosen || s == callLeading
}

// Discard gives back what the call has borrowed, when nobody reads its rows.
// It must have been answered.
func (c *Call) Discard() {
	c.st.table.recycle(c.codec)
	c.codec = nil
}

// settle hands the answer over, unless the caller has left. It is called once.
func (c *Call) settle(a Answer) {
	c.answer = a
	if !c.state.CompareAndSwap(callWaiting, callSettled) {
		c.state.CompareAndSwap(callLeading, callSettled)
	}
}

// wake tells the caller that there is something to do.
func (c *Call) wake() {
	if !c.woken {
		c.woken = true
		close(c.ready)
	}
}

// Cost is what the server is expected to need for the statement.
func (c *Call) Cost() time.Duration { return c.st.Cost() }
