package pool

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Credentials are what a dial authenticates with. They are never logged.
type Credentials struct {
	User     string // empty: the connection string's
	Password string
}

// String hides both, so that no verb prints them.
func (Credentials) String() string { return "[credentials]" }

// GoString hides both from %#v as well.
func (Credentials) GoString() string { return "[credentials]" }

// WithCredentials makes the pool ask supply for the credentials of each dial,
// for passwords that rotate and tokens that expire. supply may be called
// concurrently; its context ends with the dial (Config.ConnectTimeout). When
// the server refuses a password, supply is called once more, once for all the
// dials that were refused together, and each tries again with the answer.
// Connections that are open stay open; [Pool.Recycle] replaces them.
func WithCredentials(supply func(ctx context.Context) (Credentials, error)) Option {
	return func(s *settings) { s.supply = supply }
}

// credentials calls the supplier and shares one renewal among all dials that
// the server refused together.
type credentials struct {
	supply func(ctx context.Context) (Credentials, error)

	mu     sync.Mutex
	flight *renewal // under way; nil when none is
}

type renewal struct {
	done  chan struct{}
	fresh Credentials // valid once done is closed
	err   error
}

// get supplies the credentials of one dial.
func (k *credentials) get(ctx context.Context) (Credentials, error) {
	c, err := k.supply(ctx)
	if err != nil {
		return Credentials{}, fmt.Errorf("credentials: %w", err)
	}
	return c, nil
}

// renew asks again because the server refused the last answer.
func (k *credentials) renew(ctx context.Context) (Credentials, error) {
	f := k.join(ctx)
	select {
	case <-f.done:
		return f.fresh, f.err
	case <-ctx.Done():
		return Credentials{}, ctx.Err()
	}
}

// join returns the renewal under way, or starts one.
func (k *credentials) join(ctx context.Context) *renewal {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flight == nil {
		k.flight = &renewal{done: make(chan struct{})}
		go k.fly(ctx, k.flight)
	}
	return k.flight
}

// fly makes the one call. Its context is that of the dial that came first, so
// it ends with that dial's deadline.
func (k *credentials) fly(ctx context.Context, f *renewal) {
	f.fresh, f.err = k.get(ctx)
	k.mu.Lock()
	k.flight = nil
	k.mu.Unlock()
	close(f.done)
}

// apply sets the credentials of one dial.
func (c Credentials) apply(cc *pgx.ConnConfig) {
	if c.User != "" {
		cc.User = c.User
	}
	cc.Password = c.Password
}
