package pgdriver

import (
	"context"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// maxPrepared is how many statements may be prepared on one session. When there
// are more, the quarter that was used least recently goes, at once.
const maxPrepared = 512

// Link is a server session as runs need it. Like the session it is used by one
// goroutine at a time.
type Link struct {
	pg    *pgconn.PgConn
	types *pgtype.Map
	table *Table

	prepared map[string]*prepared
	stale    []string // names to deallocate
	names    uint64   // given so far
	uses     uint64
	rows     []byte // of the answer that is being read; kept for the next
}

// prepared is a statement that is prepared on the session.
type prepared struct {
	*pgconn.StatementDescription
	st    *Statement
	views [faceCount]view
	used  uint64
	known bool // the server has confirmed it
}

// NewLink returns the link of a session. types is the session's type map.
func NewLink(pg *pgconn.PgConn, types *pgtype.Map, table *Table) *Link {
	return &Link{pg: pg, types: types, table: table, prepared: make(map[string]*prepared)}
}

// get returns a prepared statement; nil when it has to be prepared first.
func (l *Link) get(sql string) *prepared {
	p := l.prepared[sql]
	if p != nil {
		l.uses++
		p.used = l.uses
	}
	return p
}

// add takes in a statement that is prepared, or about to be.
func (l *Link) add(st *Statement, sd *pgconn.StatementDescription) *prepared {
	if len(l.prepared) >= maxPrepared {
		l.evict()
	}
	l.uses++
	p := &prepared{StatementDescription: sd, st: st, used: l.uses}
	l.see(p)
	l.prepared[sd.SQL] = p
	return p
}

// see fills in how the faces see the statement.
func (l *Link) see(p *prepared) {
	for f := range p.views {
		p.views[f] = Face(f).view(l.types, p.Fields)
	}
}

// name returns a new name for a prepared statement. It is short: it goes with
// every execution.
func (l *Link) name() string {
	l.names++
	return "dbp" + strconv.FormatUint(l.names, 36)
}

// drop forgets a prepared statement. It is deallocated before the next run.
func (l *Link) drop(p *prepared) {
	if l.prepared[p.SQL] == p {
		delete(l.prepared, p.SQL)
		l.stale = append(l.stale, p.Name)
	}
}

// evict drops the quarter of the statements that was used least recently.
func (l *Link) evict() {
	used := make([]uint64, 0, len(l.prepared))
	for _, p := range l.prepared {
		used = append(used, p.used)
	}
	slices.Sort(used)
	bound := used[len(used)/4]
	for _, p := range l.prepared {
		if p.used < bound {
			l.drop(p)
		}
	}
}

// Learn prepares a statement on the session, ahead of its first call, and notes
// how the server describes it.
func (l *Link) Learn(ctx context.Context, st *Statement) error {
	if st == nil || l.get(st.SQL) != nil && st.desc.Load() != nil {
		return nil
	}
	sd, err := l.pg.Prepare(ctx, l.name(), st.SQL, nil)
	if err != nil {
		return err
	}
	if old := l.prepared[st.SQL]; old != nil {
		l.drop(old)
	}
	l.add(st, sd).known = true
	st.Described(sd)
	return nil
}
