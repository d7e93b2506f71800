package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/stack"
)

const (
	listenName = "listener"
	// listenCheck is after how much silence the session is asked whether it is still there.
	listenCheck = 30 * time.Second
	// The pauses between two tries to listen again, doubled each time. A third is random.
	firstListenPause, lastListenPause = 50 * time.Millisecond, 5 * time.Second
)

// keepListening has a session that listens, and another when it is lost, until
// nobody listens any more.
func (p *Pool) keepListening(ctx context.Context, who stack.Trace, ended chan<- struct{}) {
	defer close(ended)
	ctx = ContextWithName(ctx, listenName)
	interrupted, tries := time.Time{}, 0
	for !p.listeners.done() {
		live := false
		err := p.listenOnce(ctx, who, func() {
			if live, tries = true, 0; !interrupted.IsZero() {
				p.log.Info("listening again", "pool", p.cfg.Name, "gap_seconds", logSeconds(time.Since(interrupted)))
				interrupted = time.Time{}
			}
		})
		p.listeners.lost()
		if err == nil || ctx.Err() != nil || errors.Is(err, errListenRecycled) {
			continue
		}
		if errors.Is(err, errListenPooled) || errors.Is(err, errListenDeaf) {
			p.listeners.fail(err)
			continue
		}
		if interrupted.IsZero() {
			interrupted = time.Now()
			p.log.Warn("listening interrupted", append([]any{"pool", p.cfg.Name}, loggable(err)...)...)
		}
		if !live {
			pause(ctx, listenPause(tries))
			tries++
		}
	}
}

// listenPause is how long to wait after so many failed tries.
func listenPause(tries int) time.Duration {
	d := min(firstListenPause<<min(tries, 10), lastListenPause)
	return d - time.Duration(rand.Int64N(int64(d/3))) //nolint:gosec // nothing secret
}

// listenOnce takes a connection and listens until it is lost, or nobody listens.
// Its session ends with it, and so does all that it listens to. live is called
// when it listens to all that was asked for at first.
func (p *Pool) listenOnce(ctx context.Context, who stack.Trace, live func()) error {
	if p.gate.Limit() < 2 {
		return errListenOne // for now: a limit may grow
	}
	v := &virtual{p: p}
	v.permit.Callsite, v.permit.Standing = who, true
	c, err := v.nativeConn(ContextWithLane(ctx, p.listenLane()))
	if err != nil {
		return err
	}
	if err := p.canHear(); err != nil {
		v.giveBack(true)
		return err
	}
	slot := v.permit.Slot
	defer func() { v.giveBack(c.IsClosed()) }() // one that is closed tells by itself why
	err = c.Lend(func(pc *pgx.Conn) error { return p.followChannels(ctx, pc, slot, live) })
	switch {
	case errors.Is(err, errListenRecycled):
		c.RetireFor(connstate.CloseRecycled)
	case !c.IsClosed():
		c.RetireFor(connstate.CloseSurplus) // nobody listens, or there is no room
	}
	return err
}

// canHear says why no connection of the pool hears notifications, if that is known.
func (p *Pool) canHear() error {
	switch {
	case p.dialer.opener.Pooled():
		return errListenPooled
	case p.dialer.opener.Deaf():
		return errListenDeaf
	}
	return nil
}

// listenLane is that of background work, unless that would have no connection left.
func (p *Pool) listenLane() Lane {
	if gate.BackgroundCap(p.gate.Limit()) < 2 {
		return LaneRequest
	}
	return LaneBackground
}

// followChannels listens to what is asked for, as that changes.
func (p *Pool) followChannels(ctx context.Context, pc *pgx.Conn, slot *gate.Slot, live func()) error {
	have := map[string]struct{}{}
	for {
		want, wait, cancel := p.listeners.next(ctx)
		if err := p.mayGoOn(slot); err != nil {
			cancel()
			return err
		}
		if len(want) == 0 || ctx.Err() != nil {
			cancel()
			return ctx.Err()
		}
		err := p.followOnce(ctx, wait, pc, statements(have, want), func() {
			if have = want; live != nil {
				live()
				live = nil
			}
			p.listeners.listened(have)
		})
		cancel()
		if err != nil {
			return err
		}
	}
}

// mayGoOn says why the session has to be given up, if it is so. Resize, Recycle and
// the fleet have it asked.
func (p *Pool) mayGoOn(slot *gate.Slot) error {
	switch {
	case p.gate.Limit() < 2:
		return errListenOne
	case p.recycler.outdated(slot):
		return errListenRecycled
	}
	return nil
}

// followOnce changes what the session listens to, and waits once.
func (p *Pool) followOnce(ctx, wait context.Context, pc *pgx.Conn, sql string, changed func()) error {
	if sql != "" {
		ctx, cancel := context.WithTimeout(ctx, p.cfg.ConnectTimeout) // it waits for nobody: longer than a dial is a dead network
		_, err := pc.Exec(ctx, sql)
		cancel()
		if err != nil {
			return err
		}
	}
	changed()
	n, err := pc.WaitForNotification(wait)
	switch {
	case n != nil:
		p.listeners.deliver(Notification{Channel: n.Channel, Payload: n.Payload, PID: n.PID})
		return nil
	case err == nil:
		return errListenDeaf
	case pc.IsClosed() || wait.Err() == nil:
		return err
	case errors.Is(wait.Err(), context.DeadlineExceeded):
		return stillListening(ctx, pc)
	}
	return nil // something changed
}

// stillListening makes sure that the session is there.
func stillListening(ctx context.Context, pc *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, pgdriver.CancelBound)
	defer cancel()
	return pc.Ping(ctx)
}
