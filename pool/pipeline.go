package pool

import (
	"database/sql/driver"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// offer is a statement that may share a connection, as its caller brings it. While
// callers wait, the gate grants a connection that comes free to several at once:
// the caller of the first sends all of them in one pipeline, reads the answers and
// gives the connection back before it wakes the others; see internal/pgdriver.
type offer struct {
	statement *pgdriver.Statement // nil when it may not
	face      pgdriver.Face
	named     []driver.NamedValue // its arguments, from database/sql
	values    []any               // or from pgx
	call      *pgdriver.Call      // once it was offered
}

// arguments are the arguments as pgx takes them.
func (o *offer) arguments() []any {
	if o.named == nil {
		return o.values
	}
	values := make([]any, len(o.named))
	for i, a := range o.named {
		values[i] = a.Value
	}
	return values
}

// offer has the statement of k's owner share a connection, if it can, while permit waits.
// Its arguments are encoded by its own caller.
func (p *Pool) offer(permit *gate.Permit) {
	v, _ := permit.Owner.(*virtual)
	if v == nil || v.offer.statement == nil {
		return
	}
	o := &v.offer
	why := o.statement.Why(time.Now())
	if why == pgdriver.Shares && permit.Outer.P != nil {
		why = pgdriver.BecauseNested
	}
	if why == pgdriver.Shares {
		if o.call = pgdriver.NewCall(o.statement, o.face, o.arguments()); o.call == nil {
			why = pgdriver.BecauseArguments
		}
	}
	if why != pgdriver.Shares {
		p.unshared[why].Add(1)
		return
	}
	o.call.Owner, o.call.Needs = v, v.reads.needed()
	p.gate.Offer(permit, o.call)
}
