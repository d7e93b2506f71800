package pgdriver

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// Position is a place in a server's write-ahead log, as pg_lsn counts: bytes from
// its beginning. What was committed before a position is in every server that has
// replayed the log up to it.
type Position uint64

// String writes a position as the server does, "16/B374D848".
func (p Position) String() string { return fmt.Sprintf("%X/%X", uint64(p)>>32, uint32(p)) }

// ParsePosition reads what String writes.
func ParsePosition(text string) (Position, bool) {
	high, low, found := strings.Cut(text, "/")
	h, err1 := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	return Position(h<<32 | l), found && err1 == nil && err2 == nil
}

// ended is the position as the end of a record. The server gives the place where
// the next one will begin: at the beginning of a page that is behind the page's
// head, to which no standby gets before there is a next one.
func (p Position) ended() Position {
	const page, head = 8192, 24
	if p%page == head {
		return p - head
	}
	return p
}

// WritePosition is the query for the position up to which the server has written.
const WritePosition = "select pg_catalog.pg_current_wal_insert_lsn()"

// WrittenUpTo reads its answer.
func WrittenUpTo(text string) (Position, bool) {
	p, ok := ParsePosition(text)
	return p.ended(), ok
}

// Progress is how far the commits of one caller have got: those of its requests,
// say. All its methods may be called concurrently; nil notes nothing.
type Progress struct {
	mu      sync.Mutex // guards all below
	at      Position
	touched uint64 // how many times something may have been written at a position that is not known
	asked   uint64 // how many of them came before the position was asked for
}

type progressKey struct{}

// ContextWithProgress returns a context whose commits are noted in p.
func ContextWithProgress(ctx context.Context, p *Progress) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

// ProgressOf returns the progress of a context; nil when it has none.
func ProgressOf(ctx context.Context) *Progress {
	p, _ := ctx.Value(progressKey{}).(*Progress)
	return p
}

// Touch notes that something may have been committed just now.
func (p *Progress) Touch() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.touched++
}

// Reach notes that something was committed before the position.
func (p *Progress) Reach(at Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = max(p.at, at)
}

// Need returns the position that a server must have replayed to have all that was
// committed. It is not known while touched is not 0: then the position that is
// asked for now is given to Answered, with touched.
func (p *Progress) Need() (at Position, touched uint64) {
	if p == nil {
		return 0, 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.touched == p.asked {
		return p.at, 0
	}
	return p.at, p.touched
}

// Answered notes the position that was asked for after Need had returned touched,
// and returns the one that is needed.
func (p *Progress) Answered(touched uint64, at Position) Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.at = max(p.asked, touched), max(p.at, at)
	return p.at
}

// commitText is the SQL of a commit. Where somebody wants to know how far it has
// got, the position goes with it in the same round trip.
func (t *tx) commitText(p *Progress) string {
	if p == nil {
		return "commit"
	}
	return "commit; " + WritePosition
}

// noteCommit notes in p how far a commit has got. It reports whether the commit
// was done, whatever became of the question after it: a cancelled one fails late.
func noteCommit(p *Progress, results []*pgconn.Result) bool {
	if len(results) == 0 || results[0].Err != nil || results[0].CommandTag.String() != "COMMIT" {
		return false
	}
	if len(results) > 1 && results[1].Err == nil && len(results[1].Rows) == 1 {
		if at, ok := WrittenUpTo(string(results[1].Rows[0][0])); ok {
			p.Reach(at)
			return true
		}
	}
	p.Touch()
	return true
}

// progress is what the commit is noted in; nil where it commits nothing.
func (t *tx) progress() *Progress {
	if t.c.readOnlyTx {
		return nil
	}
	return ProgressOf(t.ctx)
}

// AskReplay asks the server how far it has got with the log of another one, for
// HasReplayed, and reports whether it replays one at all: whether it is a standby. It
// is no statement of the holder's.
func (c *Conn) AskReplay(ctx context.Context) (standby bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CancelBound)
	defer cancel()
	var results []*pgconn.Result
	err = c.shield(func() (err error) {
		results, err = c.PgConn().Exec(ctx, "select pg_catalog.pg_last_wal_replay_lsn() where pg_catalog.pg_is_in_recovery()").ReadAll()
		return err
	})
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // which says more than what became of the connection
	}
	if err != nil || len(results[0].Rows) == 0 {
		return false, err
	}
	at, _ := ParsePosition(string(results[0].Rows[0][0])) // 0 when it does not know
	c.replayed = max(c.replayed, at)
	return true, nil
}

// HasReplayed reports whether the server is known to have replayed the log up to a
// position. It has what it once had, also when it is no standby any more.
// Behind a pooler that may be another server each time.
func (c *Conn) HasReplayed(at Position) bool {
	return at == 0 || at <= c.replayed && !c.settings.Pooled
}
