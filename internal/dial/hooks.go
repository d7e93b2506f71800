package dial

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// Hooks are what the user does to connections about to be opened, and to those
// just opened.
type Hooks struct {
	Configure []func(*pgx.ConnConfig)
	After     []func(context.Context, *pgx.Conn) error
}

// edit reports whether a hook takes the notifications of the connection for itself.
func (h Hooks) edit(cc *pgx.ConnConfig) (deaf bool) {
	for _, edit := range h.Configure {
		edit(cc)
	}
	cc.ConnectTimeout = 0 // the dialer bounds all hosts together
	return cc.OnNotification != nil
}

// afterConnectError is a failure of a function given to WithAfterConnect.
type afterConnectError struct{ err error }

func (e *afterConnectError) Error() string { return "after connect: " + e.err.Error() }
func (e *afterConnectError) Unwrap() error { return e.err }

var (
	errTxLeftOpen     = errors.New("the function given to WithAfterConnect left a transaction open")
	errTimeoutChanged = errors.New("the function given to WithAfterConnect changed statement_timeout; set DB_STATEMENT_TIMEOUT, or SET LOCAL in a transaction")
)

// prepare runs what was given to WithAfterConnect on a new connection, whose
// statement_timeout is before.
func (h Hooks) prepare(ctx context.Context, c *pgdriver.Conn, m *mode, before time.Duration) error {
	if len(h.After) == 0 {
		return nil
	}
	for _, after := range h.After {
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
