package pool

import (
	"context"

	"github.com/dbpool-go/dbpool/internal/dial"
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
	return func(s *settings) {
		if s.supply = nil; supply == nil {
			return
		}
		s.supply = func(ctx context.Context) (dial.Credentials, error) {
			c, err := supply(ctx)
			return dial.Credentials(c), err
		}
	}
}
