package pgdriver

import (
	"errors"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// What ended a connection is known in three places: the server may have said it,
// the socket may have broken, and if neither did, the connection was given up here.

// hearEnd has pgx tell with which words the server ends the session.
func (c *Conn) hearEnd(cc *pgx.ConnConfig) {
	onError, onNotice := cc.OnPgError, cc.OnNotice
	cc.OnPgError = func(pc *pgconn.PgConn, pg *pgconn.PgError) bool {
		if isLastWord(pg) {
			c.said.CompareAndSwap(0, int32(causeOf(pg.Code)))
		}
		return onError == nil || onError(pc, pg)
	}
	cc.OnNotice = func(pc *pgconn.PgConn, n *pgconn.Notice) {
		if n.Code == StateCrashShutdown { // a warning; the end follows without a word
			c.said.CompareAndSwap(0, int32(connstate.EndCrashed))
		}
		if onNotice != nil {
			onNotice(pc, n)
		}
	}
}

// causeOf is the cause that a code stands for when the server ends a session with it.
func causeOf(code string) connstate.EndCause {
	switch code {
	case StateAdminShutdown:
		return connstate.EndTerminated
	case StateCrashShutdown:
		return connstate.EndCrashed
	case StateDatabaseDropped:
		return connstate.EndDatabaseDropped
	case StateIdleTimeout:
		return connstate.EndIdleSession
	case StateIdleInTransaction:
		return connstate.EndIdleTransaction
	case StateTransactionTimeout:
		return connstate.EndTransaction
	case StateSerialization:
		return connstate.EndConflict
	}
	return connstate.EndOtherError
}

// endCause is what ended the connection, as far as that is known now.
func (c *Conn) endCause() connstate.EndCause {
	if said := connstate.EndCause(c.said.Load()); said != connstate.EndUnknown {
		return said
	}
	if c.socket != nil {
		if broke := connstate.EndCause(c.socket.broke.Load()); broke != connstate.EndUnknown {
			return broke
		}
	}
	return connstate.EndGivenUp
}

// noteBroken notes with what error the socket ended, unless it was closed here.
func (s *Socket) noteBroken(err error) {
	if s.farewell.Load() {
		return
	}
	cause := connstate.EndSilent
	if errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) {
		cause = connstate.EndNetwork
	}
	s.broke.CompareAndSwap(0, int32(cause))
}
