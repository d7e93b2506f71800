package pool

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
)

// closeGrace bounds how long Close waits for the server to end the sessions.
const closeGrace = 5 * time.Second

// Close ends the pool: waiting callers get ErrClosed, idle connections are
// closed, dials are abandoned, background tasks are cancelled. Connections in
// use are closed when their holders give them back; Listen ends. It waits, for a few seconds
// at most, until the server has ended the sessions of all connections that are
// not in use, and may be called more than once. See Shutdown for a way that lets
// work finish.
func (p *Pool) Close() error {
	p.closeOnce.Do(func() { p.closeErr = p.close() })
	return p.closeErr
}

func (p *Pool) close() error {
	atStandbys := p.standbys.close()
	defer atStandbys()
	p.listeners.shutdown(p.errClosed())
	p.closed.Store(true)
	p.gate.Close()
	p.dialer.stop()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	err := p.tasks.shutdown(canceled(ctx))
	for _, s := range p.gate.TakeIdle() {
		s.Backend.(backend).close()
	}
	err = errors.Join(err, p.lent.close(), p.front.Close(), p.sessions.Close(), cmp.Or(p.db, p.foreign).Close())
	<-p.housekeeper.done
	p.member.wait()
	p.fleetCheck.wait()
	select {
	case <-p.gate.WhenIdleGone():
	case <-ctx.Done():
	}
	return err
}

// canceled returns a context that has ended already.
func canceled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// Shutdown closes the pool as Close does, but lets work finish first: no new
// background task is started, Listen ends, running tasks and all holders of connections may
// finish until ctx ends. Then background tasks are cancelled. It returns ctx's
// error when something had to be cut short.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.listeners.shutdown(p.errClosed())
	err := p.tasks.shutdown(ctx)
	p.standbys.refuse()
	p.closed.Store(true)
	p.gate.Close()
	if cut := cmp.Or(released(ctx, p.gate), p.standbys.released(ctx)); cut != nil {
		err = errors.Join(err, cut)
	}
	return errors.Join(err, p.Close())
}

// released waits until nobody holds a connection, as long as ctx lasts.
func released(ctx context.Context, g *gate.Gate) error {
	all := g.WhenReleased()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-all: // both, and nothing was cut short
		return nil
	default:
		return ctx.Err()
	}
}
