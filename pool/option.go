package pool

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"time"
)

// Option changes how a pool is opened. Options hold what an environment
// variable cannot say; everything else is in config.Config.
type Option func(*settings)

// settings collects the options.
type settings struct {
	log          *slog.Logger
	observer     Observer
	supply       func(ctx context.Context) (Credentials, error)
	network      dialFunc
	refuseNested bool
	reclaimAfter time.Duration
	fleetKeys    byte
}

func newSettings(opts []Option) *settings {
	s := &settings{log: slog.Default(), observer: nobody{}, network: dialSocket}
	for _, o := range opts {
		o(s)
	}
	s.log, s.observer = cmp.Or(s.log, slog.Default()), cmp.Or[Observer](s.observer, nobody{})
	if s.network == nil {
		s.network = dialSocket
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

// WithNestedRefused refuses with ErrNested, at once, a caller that already
// holds a connection in the same session, background task or request: it would
// wait for itself when the pool is at its limit. Default: such a caller waits
// like any other, and its timeout names both places.
func WithNestedRefused() Option { return func(s *settings) { s.refuseNested = true } }

// WithReclaim takes a connection away from a holder that has left it without a
// running statement for longer than after; its next statement returns
// ErrReclaimed, its transaction is rolled back, its session on the server ends,
// and its place in the pool goes to others, even if the holder never gives it
// back. A running statement is never touched, nor rows that are being read.
// Default 0: no connection is ever taken away.
func WithReclaim(after time.Duration) Option { return func(s *settings) { s.reclaimAfter = after } }

// WithFleetKeySpace moves the advisory locks of the fleet's budget, for an
// application whose own locks are in the way: their first integer begins with
// the byte space. All replicas of a service, and all services that share a
// server's budget, use the same. Default 0xDB: the integers from -620756992 to
// -603979777, in the two-integer form of pg_advisory_lock. 0 is the default.
func WithFleetKeySpace(space byte) Option { return func(s *settings) { s.fleetKeys = space } }
