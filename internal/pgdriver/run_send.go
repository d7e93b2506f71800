package pgdriver

import (
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// tidy deallocates what was dropped from the session, ahead of the run and
// apart from it: in a transaction of its own.
func (r *Run) tidy() {
	l := r.link
	if r.tidied || len(l.stale) == 0 {
		r.tidied = true // what the run itself drops waits for the next one
		return
	}
	r.tidied, r.closes = true, true
	n := min(len(l.stale), maxRequest/32)
	for _, name := range l.stale[:n] {
		l.pg.Frontend().SendClose(&pgproto3.Close{ObjectType: 'S', Name: name})
	}
	l.stale = slices.Delete(l.stale, 0, n)
	l.pg.Frontend().SendSync(&pgproto3.Sync{})
}

// send writes the requests that may be on their way together with those that
// are. There is at least one on its way while answers are awaited.
func (r *Run) send() {
	before := r.sent
	if r.mute != nil {
		return
	}
	for r.sent < len(r.calls) {
		c := r.calls[r.sent]
		if c.isLeft() {
			r.calls = slices.Delete(r.calls, r.sent, r.sent+1)
			continue
		}
		size := c.size
		if r.link.prepared[c.SQL] == nil {
			size += c.preparing()
		}
		if r.bytes > 0 && r.bytes+size > maxRequest {
			break
		}
		r.tidy()
		r.request(c)
		r.flight = append(r.flight, size)
		r.bytes += size
		r.sent++
	}
	if r.sent == before {
		return
	}
	r.flush(before)
	r.expect()
}

// flush sends what was written to the buffer: the calls from before on. When
// that fails, the session may have said why: what came is read first.
func (r *Run) flush(before int) {
	r.mute = r.link.pg.Frontend().Flush()
	if r.mute != nil && pgconn.SafeToRetry(r.mute) {
		r.sent = before // nothing got out
	}
}

// request writes one statement to the buffer.
func (r *Run) request(c *Call) {
	l, f := r.link, r.link.pg.Frontend()
	p := l.get(c.SQL)
	if p != nil && !slices.Equal(p.ParamOIDs, c.desc.ParamOIDs) {
		l.drop(p) // its arguments are encoded for other types
		p = nil
	}
	if p == nil {
		p = l.add(c.st, &pgconn.StatementDescription{Name: l.name(), SQL: c.SQL, ParamOIDs: c.desc.ParamOIDs, Fields: c.desc.Fields})
		f.SendParse(&pgproto3.Parse{Name: p.Name, Query: c.SQL, ParameterOIDs: p.ParamOIDs})
		f.SendDescribe(&pgproto3.Describe{ObjectType: 'S', Name: p.Name})
		c.prepares = true
	}
	c.prepared = p
	b := &c.codec.builder
	f.SendBind(&pgproto3.Bind{PreparedStatement: p.Name, ParameterFormatCodes: b.ParamFormats, Parameters: b.ParamValues, ResultFormatCodes: p.views[c.Face].formats})
	if len(p.Fields) == 0 {
		f.SendDescribe(&pgproto3.Describe{ObjectType: 'P'}) // its columns may have been unknown when it was prepared
	}
	f.SendExecute(&pgproto3.Execute{})
	f.SendSync(&pgproto3.Sync{})
}
