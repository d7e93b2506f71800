package pool

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// WithConnConfig has edit change pgx's configuration of each connection before it
// is dialed, for what a connection string cannot say: TLS certificates held in
// memory, a tracer, a handler of notices, LookupFunc, ValidateConnect. edit gets
// the connection string's settings, read anew for each dial; it may be called
// concurrently, and must not keep the configuration. Given more than once, each
// is called, in order.
//
// What the pool promises is not edit's to change and is set after it: the limit
// (DialFunc: use [WithDialFunc]), the timeouts (ConnectTimeout, statement_timeout),
// application_name, how statements are cancelled (BuildContextWatcherHandler) and
// messages are read (BuildFrontend), and the credentials of [WithCredentials].
// With a Tracer, statements do not share connections (Config.Pipeline): it would not
// be told of those. TLSConfig belongs to one host and one sslmode: each of Fallbacks has its own.
func WithConnConfig(edit func(*pgx.ConnConfig)) Option {
	return func(s *settings) { s.hooks.Configure = append(s.hooks.Configure, edit) }
}

// WithAfterConnect has prepare called on each new connection before anybody gets
// it: to register types, for one. Its context ends with the dial
// (Config.ConnectTimeout). An error, a transaction that is left open and a
// statement_timeout that is changed make the dial fail: the connection is closed,
// and the error told like that of any failed dial. The connection is prepare's
// only until it returns. Statements of such connections are not shared
// (Config.Pipeline), which knows no registered types. Given more than once, each is
// called, in order.
func WithAfterConnect(prepare func(ctx context.Context, conn *pgx.Conn) error) Option {
	return func(s *settings) { s.hooks.After = append(s.hooks.After, prepare) }
}
