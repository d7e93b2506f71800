package pgdriver

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATE codes that decide what becomes of a dial or a connection.
// See https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	StateProtocolViolation  = "08P01"
	StateTooManyConnections = "53300"
	StateCannotConnectNow   = "57P03"
	StateAdminShutdown      = "57P01"
	StateCrashShutdown      = "57P02"
	StateIdleTimeout        = "57P05"
	StateIdleInTransaction  = "25P03"
	StateTransactionTimeout = "25P04"
	StateQueryCanceled      = "57014"
	StateSerialization      = "40001"
	StateReadOnly           = "25006"
	StateInvalidPassword    = "28P01"
	StateInvalidAuth        = "28000"
	StateNoSuchDatabase     = "3D000"
	StateNoPrivilege        = "42501"
	StateDatabaseDropped    = "57P04"
	StateNotInState         = "55000"
	StateCannotChange       = "55P02"
)

// SQLState is the server's code in err; empty when the server said nothing.
func SQLState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
