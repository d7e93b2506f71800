package pool

import (
	"context"
	"errors"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

const (
	lookInterval = time.Second     // between two looks at the standbys
	lookTimeout  = 3 * time.Second // of one look, the wait for a connection included
	// behindFor is how long after a standby was found behind nobody waits for it.
	behindFor = 10 * time.Second
)

// keep looks after the standbys until ctx ends: whether one can be used, who has
// which part of the limit, whether they are behind.
func (b *standbys) keep(ctx context.Context) {
	defer close(b.done)
	timer := time.NewTimer(lookInterval)
	defer timer.Stop()
	behind := false
	for {
		var fewer <-chan struct{} // never, when all is divided
		if !b.divide() {
			fewer = b.whenFewer()
		}
		select {
		case <-ctx.Done():
			return
		case <-fewer:
			continue
		case <-b.wake:
			if !b.use.Load().ok {
				continue // there was a look just now
			}
		case <-timer.C:
		}
		if b.isWanted.Load() {
			b.look(ctx)
		}
		behind = b.tellBehind(behind)
		timer.Reset(lookInterval)
	}
}

// look finds out whether a standby can be used. Connections that are broken, or
// lead to a server that is no standby any more, are closed on the way.
func (b *standbys) look(ctx context.Context) {
	for range b.p.gate.Sessions() + 1 {
		if !b.lookOnce(ctx) || ctx.Err() != nil {
			return
		}
	}
}

// lookOnce looks through one connection. It reports whether that was of no use, so
// that another may be.
func (b *standbys) lookOnce(ctx context.Context) (again bool) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	b.p.gate.TryAnew(time.Now())
	asked := false
	err := b.borrow(ctx, func(c *conn) error {
		asked = true
		return c.askReplay(ctx)
	})
	switch {
	case err == nil:
		b.rise()
	case !asked && ctx.Err() != context.Canceled:
		// Where callers hold all connections that says nothing. Else the server ends
		// none of those that were given up, answers no dial, or keeps the pool's own
		// errand waiting.
		if b.areThere() && b.p.figures().InUse == 0 {
			b.fall(errHung)
		}
	case err == errPromoted:
		b.fall(err)
		return true
	case errors.Is(err, context.DeadlineExceeded):
		b.fall(errHung)
	default:
		return true
	}
	return false
}

// borrow runs use on a connection to a standby, one that is opened for it if need
// be. It is first in line. A connection on which use fails is closed.
func (b *standbys) borrow(ctx context.Context, use func(*conn) error) error {
	v := &virtual{p: b.p}
	if err := v.hold(ContextWithName(ContextWithLane(ctx, LaneProbe), "standby")); err != nil {
		return err
	}
	defer v.giveBack(true)
	c := v.real.(*conn)
	err := use(c)
	if err != nil {
		c.RetireFor(connstate.CloseBroken)
	}
	return err
}

// isBehind reports whether a standby was found behind lately, so that nobody waits
// for it.
func (b *standbys) isBehind() bool {
	return time.Since(time.Unix(0, b.missed.Load())) < behindFor
}

// tellBehind logs once that standbys are behind, and that they are no more.
func (b *standbys) tellBehind(told bool) bool {
	behind := b.isBehind()
	switch {
	case behind && !told:
		b.home.log.Warn("standbys are behind, reads of what was just written go to the primary", "pool", b.home.cfg.Name,
			"waited_seconds", logSeconds(b.home.cfg.ReadWait), "remedy", "see pg_stat_replication at the primary; DB_READ_WAIT is the longest wait")
	case told && !behind:
		b.home.log.Info("standbys have what was written", "pool", b.home.cfg.Name)
	}
	return behind
}

// ask asks the primary how far it has written, for a caller of whose commits that
// is not known.
func (p *Pool) ask(ctx context.Context, progress *pgdriver.Progress, touched uint64) (pgdriver.Position, error) {
	var text string
	err := p.front.QueryRowContext(forRow(plainContext{ctx}), pgdriver.WritePosition+"::text").Scan(&text)
	if err != nil {
		return 0, p.seen(err)
	}
	at, ok := pgdriver.WrittenUpTo(text)
	if !ok {
		return 0, errors.New("pool: the server gave no position of its log")
	}
	return progress.Answered(touched, at), nil
}
