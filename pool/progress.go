package pool

import (
	"context"
	"database/sql/driver"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// ContextWithProgress returns a context that follows what its caller commits, in
// sessions and by all other methods of the pool, so that the reads of
// [ContextWithStandby] and [WithStandby] under it see it: a standby serves them once it has replayed it.
// They wait for that for as long as Config.ReadWait, and then go to the primary.
//
// text is what [Pool.Progress] returned, for a caller that goes on elsewhere: in its
// next request, which brings the text in a cookie or a header, say. Empty, it begins
// anew. A text that cannot be read counts as if something had been written just
// now. The text is no secret, but who makes one up makes its own reads wait.
//
// A session's commit tells how far it has got in its own round trip. Other
// statements that may write cost the first read after them a question to the
// primary. The context may be used concurrently.
func ContextWithProgress(ctx context.Context, text string) context.Context {
	p := &pgdriver.Progress{}
	if at, ok := pgdriver.ParsePosition(text); ok {
		p.Reach(at)
	} else if text != "" {
		p.Touch()
	}
	return pgdriver.ContextWithProgress(ctx, p)
}

// Progress returns how far what was committed under ctx has got, for
// [ContextWithProgress] elsewhere: a place in the server's log such as
// "16/B374D848". It is empty where nothing was committed, or ctx has no progress.
// It asks the primary, as any query does, when something may have been written
// since the last session's commit.
func (p *Pool) Progress(ctx context.Context) (string, error) {
	progress := pgdriver.ProgressOf(ctx)
	if progress == nil {
		return "", nil
	}
	if p.standbys == nil { // nobody follows
		progress.Touch()
	}
	at, touched := progress.Need()
	if touched != 0 {
		var err error
		if at, err = p.ask(ctx, progress, touched); err != nil {
			return "", err
		}
	}
	if at == 0 {
		return "", nil
	}
	return at.String(), nil
}

// progressWrite is what a virtual connection may write for a caller whose
// progress is followed.
type progressWrite struct {
	progress *pgdriver.Progress // is told when the connection is given back; nil when there is nothing to tell
	harmless bool               // what follows writes nothing
}

// follow has the progress of ctx be told of what v does from now on.
func (v *virtual) follow(ctx context.Context) {
	if v.reads == nil && v.p.standbys == nil || v.writes.harmless {
		return
	}
	v.writes.progress = pgdriver.ProgressOf(ctx)
}

// noted is for the end of a transaction: when it went well, its progress was noted.
func (v *virtual) noted(err error) error {
	if err == nil {
		v.writes.progress = nil
	}
	return err
}

// followedTx is a transaction of which somebody follows the progress.
type followedTx struct {
	driver.Tx
	v *virtual
}

// Commit commits.
func (t followedTx) Commit() error { return t.v.noted(t.Tx.Commit()) }
