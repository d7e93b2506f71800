package pool

import (
	"context"
	"time"
)

// Observer is told of what takes time in a pool, for histograms and traces.
// Its methods may be called concurrently, must be quick, and must neither panic
// nor call the pool: they run where the thing happens, in part under
// database/sql's locks.
type Observer interface {
	// AcquireStart is called when a caller asks for a connection. The returned
	// context is used for the acquisition and handed to AcquireEnd.
	AcquireStart(ctx context.Context, lane Lane, name string) context.Context
	// AcquireEnd is called when the caller got a connection, or err.
	AcquireEnd(ctx context.Context, lane Lane, name string, waited time.Duration, err error)
	// Released is called when a connection was given back after held.
	Released(lane Lane, name string, held time.Duration)
	// Dialed is called after each dial, with its duration and outcome: nil or a *DialError.
	Dialed(took time.Duration, err error)
}

// WithObserver has o told of acquisitions, releases and dials. Given more than
// once, each is told, in order. Default: nobody is.
func WithObserver(o Observer) Option {
	return func(s *settings) {
		if o == nil {
			return
		}
		if s.observer == (nobody{}) {
			s.observer = o
			return
		}
		s.observer = bothObservers{s.observer, o}
	}
}

// bothObservers tells first and then second.
type bothObservers struct{ first, second Observer }

func (b bothObservers) AcquireStart(ctx context.Context, lane Lane, name string) context.Context {
	return b.second.AcquireStart(b.first.AcquireStart(ctx, lane, name), lane, name)
}

func (b bothObservers) AcquireEnd(ctx context.Context, lane Lane, name string, waited time.Duration, err error) {
	b.first.AcquireEnd(ctx, lane, name, waited, err)
	b.second.AcquireEnd(ctx, lane, name, waited, err)
}

func (b bothObservers) Released(lane Lane, name string, held time.Duration) {
	b.first.Released(lane, name, held)
	b.second.Released(lane, name, held)
}

func (b bothObservers) Dialed(took time.Duration, err error) {
	b.first.Dialed(took, err)
	b.second.Dialed(took, err)
}

// nobody observes nothing.
type nobody struct{}

func (nobody) AcquireStart(ctx context.Context, _ Lane, _ string) context.Context { return ctx }
func (nobody) AcquireEnd(context.Context, Lane, string, time.Duration, error)     {}
func (nobody) Released(Lane, string, time.Duration)                               {}
func (nobody) Dialed(time.Duration, error)                                        {}
