package pool

import (
	"cmp"
	"context"
	"log/slog"
	"net"

	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// Option changes how a pool is opened. Options hold what an environment
// variable cannot say; everything else is in config.Config.
type Option func(*settings)

// settings collects the options.
type settings struct {
	log      *slog.Logger
	observer Observer
	supply   func(ctx context.Context) (dial.Credentials, error)
	hooks    dial.Hooks
	network  pgdriver.DialFunc
	plumbing plumbing
	session  []SessionOption // defaults
}

func newSettings(opts []Option) *settings {
	s := &settings{log: slog.Default(), observer: nobody{}, network: pgdriver.DialSocket}
	for _, o := range opts {
		o(s)
	}
	s.log, s.observer = cmp.Or(s.log, slog.Default()), cmp.Or[Observer](s.observer, nobody{})
	if s.network == nil {
		s.network = pgdriver.DialSocket
	}
	return s
}

// WithLogger sets where the pool logs. Default slog.Default().
func WithLogger(l *slog.Logger) Option { return func(s *settings) { s.log = l } }

// WithDialFunc sets how network connections are opened, for proxies and
// tunnels. dial must return when its context ends. What it returns should have
// CloseWrite, as TCP, TLS and unix connections do: ending the sending half and
// waiting for the server's end is how the pool knows that a session is gone.
// Default: net.Dialer, told to find a dead peer within a minute.
func WithDialFunc(dial func(ctx context.Context, network, address string) (net.Conn, error)) Option {
	return func(s *settings) { s.network = dial }
}

// WithPlumbing names functions of the service that are never the answer to "who
// asked for this connection": a repository's helpers, a package of generated
// queries. Errors, [Holder] and leak reports name their caller instead. Each
// name is the beginning of a function's full name, as runtime.Frame has it: a
// package ("example.com/orders/internal/store.") or a type's methods
// ("example.com/orders/internal/store.(*Queries)."). database/sql, modules that
// were downloaded and methods made by the compiler are passed over in any case.
// The option may be given several times.
func WithPlumbing(functions ...string) Option {
	return func(s *settings) { s.plumbing = append(s.plumbing, functions...) }
}
