package monitor

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/dbpool-go/dbpool/monitor/serverview"
)

// Option changes how a monitor works.
type Option func(*options)

type options struct {
	log            *slog.Logger
	probeInterval  time.Duration
	probeTimeout   time.Duration
	unhealthyAfter int
	queryText      bool
	addresses      bool
	stacks         bool
	guard          guard
}

func defaultOptions() options {
	return options{probeInterval: 5 * time.Second, probeTimeout: 3 * time.Second, unhealthyAfter: 3}
}

// WithLogger sets where the monitor logs. Default slog.Default().
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// WithProbe sets how often the database is probed and how long a probe may take,
// the wait for a connection included. Both more than 0. Default 5s and 3s.
func WithProbe(interval, timeout time.Duration) Option {
	return func(o *options) { o.probeInterval, o.probeTimeout = interval, timeout }
}

// WithUnhealthyAfter sets how many probes in a row must fail until the database
// counts as unhealthy. At least 1. Default 3. Before the first success, and when
// the pool is closed, one is enough.
func WithUnhealthyAfter(probes int) Option { return func(o *options) { o.unhealthyAfter = probes } }

// WithQueryText shows the SQL text of running statements in /debug/pool-status:
// without literals, comments and the values of SET, cut to 500 characters.
// Default off.
func WithQueryText() Option { return func(o *options) { o.queryText = true } }

// WithAddresses shows network addresses in /debug/pool-status: of the clients of
// running statements, and in the texts of failed dials. Default off.
func WithAddresses() Option { return func(o *options) { o.addresses = true } }

// WithStacks shows the stacks of the longest holders in /debug/pool-status; the
// file and line that asked for a connection are shown without it. Default off.
func WithStacks() Option { return func(o *options) { o.stacks = true } }

// WithToken asks callers of /debug/pool-status for the token, either as
// "Authorization: Bearer <token>" or as the password of HTTP basic
// authentication with any user name, which is what a browser asks for. Given
// more than once, each token will do. An empty token lets nobody in and makes
// Run fail, so that an unset variable cannot open the endpoint.
// /health is not affected.
func WithToken(token string) Option {
	return func(o *options) {
		o.guard.tokens = append(o.guard.tokens, hashToken(token))
		o.guard.empty = o.guard.empty || token == ""
	}
}

// WithLoopbackOnly answers /debug/pool-status only to callers on the same host
// (or on a Unix socket) that were not forwarded by a proxy and that named a
// loopback host, so that no web page can read it through a rebound name. Others
// get 403. /health is not affected.
func WithLoopbackOnly() Option { return func(o *options) { o.guard.loopback = true } }

// err gathers what is wrong with the options.
func (o options) err() error {
	var all []error
	if o.probeInterval <= 0 || o.probeTimeout <= 0 {
		all = append(all, fmt.Errorf("monitor: WithProbe(%s, %s): both must be more than 0", o.probeInterval, o.probeTimeout))
	}
	if o.unhealthyAfter < 1 {
		all = append(all, fmt.Errorf("monitor: WithUnhealthyAfter(%d): must be at least 1", o.unhealthyAfter))
	}
	if o.guard.empty {
		all = append(all, errors.New("monitor: WithToken: the token is empty; set one, or leave the option out"))
	}
	return errors.Join(all...)
}

func (o options) queryOptions() serverview.QueryOptions {
	return serverview.QueryOptions{Text: o.queryText, Addresses: o.addresses}
}
