package dial

import (
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Trouble is what a failed dial means.
type Trouble struct {
	Reason    Reason
	Remedy    string // what to do about it
	Full      bool   // there is no room for one more session
	Permanent bool   // trying again cannot help
	Paced     bool   // whoever refused says itself when to try again
}

// Troubled is an error that says itself what it means, unless ok is false.
type Troubled interface {
	error
	Trouble() (t Trouble, ok bool)
}

// Failure is a failed dial. It holds no secret.
type Failure struct {
	Trouble
	SQLState string // the server's code; empty when no server answered
	Message  string // the server's or the network's own words
	Cause    error  // the server's own error, or the network's
}

// Explain says what a failed dial means, without any secret: it keeps the server's
// own error or the network's, and drops pgx's ConnectError, which holds the whole
// configuration.
func Explain(err error) Failure {
	code, t := classify(err)
	cause := rootCause(err)
	message := cause.Error()
	if pg, ok := cause.(*pgconn.PgError); ok {
		message = pg.Message + " (SQLSTATE " + pg.Code + ")"
	} else if role := unwantedRole(err); role != nil {
		cause, message = role, eachHost(err)
	}
	return Failure{Trouble: t, SQLState: code, Message: message, Cause: cause}
}

// eachHost is what became of each host, in pgx's words: where one is of the
// wrong kind, the trouble is with the others.
func eachHost(err error) string {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return strings.ReplaceAll(errors.Join(many.Unwrap()...).Error(), "\n", "; ")
	}
	if inner := errors.Unwrap(err); inner != nil && unwantedRole(inner) != nil {
		return eachHost(inner)
	}
	return err.Error()
}

func rootCause(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	if inner := errors.Unwrap(err); inner != nil {
		return rootCause(inner)
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) > 0 {
		return rootCause(many.Unwrap()[0])
	}
	return err
}
