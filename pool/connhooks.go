package pool

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// connHooks are what the user does to connections about to be opened, and to
// those just opened.
type connHooks struct {
	configure []func(*pgx.ConnConfig)
	after     []func(context.Context, *pgx.Conn) error
}

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
	return func(s *settings) { s.hooks.configure = append(s.hooks.configure, edit) }
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
	return func(s *settings) { s.hooks.after = append(s.hooks.after, prepare) }
}

func (h connHooks) edit(cc *pgx.ConnConfig) {
	for _, edit := range h.configure {
		edit(cc)
	}
	cc.ConnectTimeout = 0 // the dialer bounds all hosts together
}

// afterConnectError is a failure of a function given to WithAfterConnect.
type afterConnectError struct{ err error }

func (e *afterConnectError) Error() string { return "after connect: " + e.err.Error() }
func (e *afterConnectError) Unwrap() error { return e.err }

var (
	errTxLeftOpen     = errors.New("the function given to WithAfterConnect left a transaction open")
	errTimeoutChanged = errors.New("the function given to WithAfterConnect changed statement_timeout; set DB_STATEMENT_TIMEOUT, or SET LOCAL in a transaction")
)

// prepare runs what was given to WithAfterConnect on a new connection.
func (h connHooks) prepare(ctx context.Context, c *pgdriver.Conn, m *mode) error {
	if len(h.after) == 0 {
		return nil
	}
	_, before, err := ask(ctx, c)
	if err != nil {
		return &checkError{err}
	}
	for _, after := range h.after {
		if err := after(ctx, c.Pgx()); err != nil {
			return &afterConnectError{err}
		}
		if c.PgConn().TxStatus() != 'I' {
			return &afterConnectError{errTxLeftOpen}
		}
	}
	_, now, err := ask(ctx, c)
	if err == nil && now != before && !m.pooler {
		return &afterConnectError{errTimeoutChanged}
	}
	if err != nil {
		return &checkError{err}
	}
	return nil
}
