package pgdriver

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// rig runs calls on one session in memory.
type rig struct {
	t     *testing.T
	srv   *server
	link  *Link
	table *Table

	mu      sync.Mutex // guards all below
	overs   int
	err     error // of the latest Over
	cancels int
	lag     time.Duration // of cancel requests on their way
}

func newRig(t *testing.T) *rig {
	t.Helper()
	srv, conn := connect(t)
	table := NewTable(ShareAll)
	return &rig{t: t, srv: srv, table: table, link: NewLink(conn.PgConn(), conn.TypeMap(), table)}
}

// The texts of statements, of each kind that can share.
const (
	plainSQL  = "select plain($1)"
	readsSQL  = "select reads($1)"
	writesSQL = "insert $1"
)

// statement returns a statement that shares, although it was never executed.
func (r *rig) statement(sql string, kind Kind) *Statement {
	st := r.table.Lookup(sql)
	if st.desc.Load() == nil {
		st.Kind = kind
		st.desc.Store(&pgconn.StatementDescription{SQL: sql, ParamOIDs: []uint32{25}, Fields: []pgconn.FieldDescription{
			{Name: "id", DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1}, {Name: "pad", DataTypeOID: 17, DataTypeSize: -1, TypeModifier: -1}}})
		st.seen.Store(firstAlone)
	}
	return st
}

func (r *rig) call(sql string, kind Kind, script string) *Call {
	c := NewCall(r.statement(sql, kind), SQLFace, []any{script})
	if c == nil {
		r.t.Fatalf("no call: %s", script)
	}
	return c
}

func (r *rig) plain(script string) *Call  { return r.call(plainSQL, Plain, script) }
func (r *rig) writes(script string) *Call { return r.call(writesSQL, Writes, script) }

// Cancel implements Host. The request arrives after a lag.
func (r *rig) Cancel() (ended func()) {
	r.mu.Lock()
	r.cancels++
	lag := r.lag
	r.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(lag)
		r.srv.cancel()
	}()
	return func() { <-done }
}

// HandOn implements Host.
func (r *rig) HandOn(to *Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if to != nil && !to.Leads() {
		r.t.Error("handed on to a call that does not lead")
	}
}

// Over implements Host.
func (r *rig) Over(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.overs++
	r.err = err
}

// outcome is what a caller got.
type outcome struct {
	Answer
	left  bool // without an answer: its context had ended
	after time.Duration
	ids   []string // of the rows
}

// run has each call made by a caller of its own, under its own context, and
// returns what they got.
func (r *rig) run(ctxs []context.Context, calls ...*Call) []outcome {
	began := time.Now()
	first := Begin(r.link, r, append([]*Call(nil), calls...))
	out := make([]outcome, len(calls))
	var all sync.WaitGroup
	for i, c := range calls {
		ctx := context.Background()
		if i < len(ctxs) && ctxs[i] != nil {
			ctx = ctxs[i]
		}
		all.Go(func() {
			out[i].left = !await(ctx, c, c == first)
			out[i].after = time.Since(began)
			if !out[i].left {
				out[i].take(c)
			}
		})
	}
	all.Wait()
	return out
}

// await is what a caller does until it has its answer, or leaves.
func await(ctx context.Context, c *Call, first bool) (answered bool) {
	if first {
		return c.Lead(ctx)
	}
	select {
	case <-c.Ready():
	case <-ctx.Done():
		if c.Leave() {
			return false
		}
	}
	return !c.Leads() || c.Lead(ctx)
}

func (o *outcome) take(c *Call) {
	o.Answer = c.Answer()
	if o.Result == nil {
		return
	}
	rows := c.SQLRows()
	defer rows.Close()
	dest := make([]driver.Value, len(rows.Columns()))
	for rows.Next(dest) == nil {
		o.ids = append(o.ids, fmt.Sprint(dest[0]))
	}
}

func (o outcome) String() string {
	switch {
	case o.left:
		return fmt.Sprintf("left after %s", o.after)
	case o.Again:
		return fmt.Sprintf("again after %s", o.after)
	case o.Err != nil:
		return fmt.Sprintf("%v after %s", o.Err, o.after)
	}
	return fmt.Sprintf("%v after %s", o.ids, o.after)
}
