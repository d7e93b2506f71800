package pool

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// trouble is what a failed dial means.
type trouble struct {
	reason    Reason
	remedy    string
	full      bool // the server has no room: ErrServerFull
	permanent bool // trying again cannot help
	paced     bool // whoever refused says itself when to try again
}

// failure is what the gate has to know of e.
func (t trouble) failure(e *DialError) gate.Failure {
	return gate.Failure{Err: e, At: e.At, Reason: string(t.reason), Full: t.full, Permanent: t.permanent, Paced: t.paced}
}

// classify tells what a failed dial means: by SQLSTATE, then by the text for
// the reason, because PostgreSQL has one code for five kinds of "too many".
func classify(err error) (code string, t trouble) {
	var noRoom *fleet.NoRoomError
	if errors.As(err, &noRoom) {
		return "", trouble{full: true, paced: true, reason: ReasonFleetFull}
	}
	var supplier *credentialsError
	if errors.As(err, &supplier) {
		return "", trouble{reason: ReasonCredentials, remedy: "see what the function given to WithCredentials says"}
	}
	var panicked *dialPanic
	if errors.As(err, &panicked) {
		return "", trouble{reason: ReasonPanic, remedy: "see the stack in the log: a function given to WithDialFunc, WithCredentials, WithConnConfig or WithAfterConnect panicked"}
	}
	if errors.As(err, new(*afterConnectError)) {
		return pgdriver.SQLState(err), trouble{reason: "after connect", remedy: "see what the function given to WithAfterConnect says"}
	}
	if pinned := new(pinnedError); errors.As(err, &pinned) {
		return "", trouble{reason: "refused by the pooler", permanent: true,
			remedy: "ALTER ROLE … SET " + pinned.name + " = …, or ALTER DATABASE, and take it out of DATABASE_URL and PGOPTIONS; or connect to the server itself"}
	}
	var unread *connConfigError
	if errors.As(err, &unread) {
		return "", trouble{reason: ReasonFilesUnreadable, remedy: "put the files that DATABASE_URL names in place, readable for this process; each dial reads them"}
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return "", classifyNoServer(err)
	}
	switch pg.Code {
	case pgdriver.StateTooManyConnections:
		t = classifyFull(pg)
	case pgdriver.StateCannotConnectNow:
		t = classifyNotNow(pg.Message)
	case pgdriver.StateAdminShutdown, pgdriver.StateCrashShutdown:
		t = trouble{reason: ReasonShuttingDown, remedy: remedyWait}
	case pgdriver.StateInvalidPassword:
		t = trouble{reason: ReasonAuthentication, permanent: true, remedy: remedyAuthentication}
	case pgdriver.StateNoSuchDatabase, pgdriver.StateDatabaseDropped:
		t = trouble{reason: ReasonNoDatabase, permanent: true, remedy: "check the database in DATABASE_URL, or create it"}
	case pgdriver.StateProtocolViolation:
		t = classifyProtocol(pg)
	default:
		t = classifyRefusal(err, pg)
	}
	return pg.Code, t
}

// classifyRefusal is for a server that did not like what the dial sent it. The
// startup packet is the same the next time, so whatever says that something in
// it is wrong is permanent.
func classifyRefusal(err error, pg *pgconn.PgError) trouble {
	const class = 2 // the first characters of a SQLSTATE
	wrong := len(pg.Code) > class && slices.Contains([]string{"0A", "22", "28", "42"}, pg.Code[:class])
	switch {
	case wrong && errors.As(err, new(*fleetError)):
		return trouble{reason: "fleet unreadable", permanent: true, remedy: fleetRemedy + "warn"}
	case wrong && errors.As(err, new(*checkError)):
		return trouble{reason: ReasonCheckRefused, permanent: true,
			remedy: "let this role call pg_backend_pid and current_setting: each new connection is checked with them"}
	case pg.Code == pgdriver.StateNoPrivilege && !strings.Contains(pg.Message, "parameter"):
		return trouble{reason: ReasonNoPrivilege, permanent: true, remedy: "GRANT CONNECT ON DATABASE to this role"}
	case pg.Code == pgdriver.StateNotInState:
		return trouble{reason: ReasonDatabaseClosed, permanent: true, remedy: "ALTER DATABASE " + quoted(pg.Message, "the database") + " ALLOW_CONNECTIONS true, or check the database in DATABASE_URL"}
	case pg.Code == pgdriver.StateInvalidAuth && strings.Contains(pg.Message, "certificate"):
		return trouble{reason: ReasonClientCertificate, permanent: true, remedy: remedyClientCertificate}
	case len(pg.Code) > class && pg.Code[:class] == "28":
		return trouble{reason: ReasonAuthentication, permanent: true, remedy: remedyAuthentication}
	case wrong, pg.Code == pgdriver.StateCannotChange:
		return parameterRefused()
	}
	return trouble{reason: ReasonRefusedByServer, remedy: remedyWait}
}

// parameterRefused is for a startup packet that holds something the server does
// not take: a parameter it does not know or may not change, a value of the wrong
// kind, broken options.
func parameterRefused() trouble {
	return trouble{reason: ReasonParameterRefused, permanent: true,
		remedy: "correct that parameter in DATABASE_URL or PGOPTIONS, or take it out"}
}

// classifyProtocol tells a server that cannot read the startup packet from a
// pooler, which says 08P01 to everything.
func classifyProtocol(pg *pgconn.PgError) trouble {
	if pg.Routine == "ProcessStartupPacket" {
		return parameterRefused()
	}
	return classifyPooler(pg.Message)
}

// classifyFull goes by the place in the server's source that refused, which is
// the same in all languages, and else by the text.
func classifyFull(pg *pgconn.PgError) trouble {
	said := func(routine, text string) bool { return pg.Routine == routine || strings.Contains(pg.Message, text) }
	t := trouble{full: true, reason: ReasonServerFull,
		remedy: "lower DB_POOL_SIZE and DB_MAX_OVERFLOW, end other sessions, or raise max_connections"}
	switch {
	case said("InitializeSessionUserId", "too many connections for role"):
		t.reason, t.remedy = ReasonRoleLimit, "lower DB_POOL_SIZE and DB_MAX_OVERFLOW, or raise ALTER ROLE "+quoted(pg.Message, "the role")+" CONNECTION LIMIT"
	case said("CheckMyDatabase", "too many connections for database"):
		t.reason, t.remedy = ReasonDatabaseLimit, "lower DB_POOL_SIZE and DB_MAX_OVERFLOW, or raise ALTER DATABASE "+quoted(pg.Message, "the database")+" CONNECTION LIMIT"
	case said("InitPostgres", "reserved for"):
		t.reason = ReasonReservedSlots // only the reserved slots are left: full for an ordinary role
	}
	return t
}

// quoted is the name that the server's message quotes, in quotes; otherwise when
// it quotes none.
func quoted(message, otherwise string) string {
	if from, to := strings.IndexByte(message, '"'), strings.LastIndexByte(message, '"'); 0 <= from && from < to {
		return message[from : to+1]
	}
	return otherwise
}

const (
	remedyAuthentication = "check the user and password in DATABASE_URL, and pg_hba.conf"
	remedyWait           = "the pool goes on trying; if it lasts, see the server's log" // for what passes by itself
)

// classifyNotNow tells the states in which a server lets nobody in. A standby
// that never will says the same as one that soon does, but for one word.
func classifyNotNow(message string) trouble {
	switch {
	case strings.Contains(message, "is not accepting connections"):
		return trouble{reason: ReasonNotAccepting, remedy: "set hot_standby=on on that standby, or take it out of DATABASE_URL"}
	case strings.Contains(message, "shutting down"):
		return trouble{reason: ReasonShuttingDown, remedy: remedyWait}
	case strings.Contains(message, "recovery"):
		return trouble{reason: ReasonInRecovery, remedy: remedyWait}
	}
	return trouble{reason: ReasonStartingUp, remedy: remedyWait}
}

// classifyPooler knows the words of PgBouncer.
func classifyPooler(message string) trouble {
	if strings.Contains(message, "no more connections allowed") {
		return trouble{full: true, reason: ReasonPoolerFull, remedy: "raise max_client_conn of PgBouncer, or lower DB_POOL_SIZE and DB_MAX_OVERFLOW"}
	}
	if saysUnsupported(message) {
		return trouble{reason: ReasonRefusedByPooler, permanent: true,
			remedy: "set DB_POOLER=pgbouncer, and take the parameter out of DATABASE_URL or add it to ignore_startup_parameters"}
	}
	if strings.Contains(message, "no such database") {
		return trouble{reason: ReasonNoDatabase, permanent: true, remedy: "add the database to the [databases] section of PgBouncer"}
	}
	if strings.Contains(message, "no such user") || strings.Contains(message, "authentication failed") {
		return trouble{reason: ReasonAuthentication, permanent: true, remedy: "add the user to PgBouncer's auth_file"}
	}
	return trouble{reason: ReasonRefusedByPooler, remedy: "see the pooler's log, and whether it reaches its server"}
}

// saysUnsupported recognizes PgBouncer's refusal of a startup parameter, or of
// one among the options.
func saysUnsupported(message string) bool {
	return strings.Contains(message, "unsupported startup parameter") || strings.Contains(message, "unsupported options startup parameter")
}

// classifyNoServer is for a dial that no server refused: none answered, or none
// is what target_session_attrs asks for.
func classifyNoServer(err error) trouble {
	switch unwantedRole(err) {
	case nil:
		return classifyNetwork(err)
	case pgconn.ErrReadOnlyConnection, pgconn.ErrStandbyConnection:
		return trouble{reason: ReasonNoPrimary, remedy: "promote a standby, or check the hosts and target_session_attrs in DATABASE_URL"}
	}
	return trouble{reason: ReasonNoStandby, remedy: "start a standby, or check the hosts and target_session_attrs in DATABASE_URL"}
}

// unwantedRole is what pgx says of a server that target_session_attrs rules out;
// nil when there was none.
func unwantedRole(err error) error {
	for _, role := range []error{pgconn.ErrReadOnlyConnection, pgconn.ErrStandbyConnection, pgconn.ErrReadWriteConnection, pgconn.ErrPrimaryConnection} {
		if errors.Is(err, role) {
			return role
		}
	}
	return nil
}

func classifyNetwork(err error) trouble {
	var dns *net.DNSError
	switch {
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return trouble{reason: ReasonNoTLS, permanent: true, remedy: "switch TLS on at the server, or set sslmode=prefer"}
	case strings.Contains(err.Error(), "remote error: tls: ") && strings.Contains(err.Error(), "certificate"):
		return trouble{reason: ReasonClientCertificate, permanent: true, remedy: remedyClientCertificate}
	case isExpired(err):
		return trouble{reason: ReasonCertificateExpired, permanent: true, remedy: "renew the server's certificate and reload it, and check this machine's clock"}
	case strings.Contains(err.Error(), "x509: ") || strings.Contains(err.Error(), "tls: failed to verify"):
		return trouble{reason: ReasonUntrusted, permanent: true, remedy: "check sslrootcert, sslmode and the host's name in DATABASE_URL"}
	case errors.Is(err, errNoHost):
		return trouble{reason: ReasonNoHostName, permanent: true, remedy: "write special characters of the password percent-encoded in DATABASE_URL"}
	case errors.As(err, &dns):
		return trouble{reason: ReasonHostNotFound, remedy: "check the host in DATABASE_URL"}
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return trouble{reason: ReasonNoAnswer, remedy: "check the network, firewalls and DB_CONNECT_TIMEOUT"}
	}
	return trouble{reason: ReasonUnreachable, remedy: "check that the server runs and is reachable"}
}

// What a server says of this side's certificate reaches us as a TLS alert, or
// as a refusal after that.
const (
	remedyClientCertificate = "renew sslcert and sslkey, from an authority that the server knows (ssl_ca_file), for this user"
)

// isExpired reports whether the server's certificate is not valid at this time.
func isExpired(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// refusesPassword reports whether another password may help. PgBouncer says it
// in words.
func refusesPassword(err error) bool {
	_, t := classify(err)
	return t.permanent && t.reason == ReasonAuthentication
}

// newDialError describes a failed dial without any secret: it keeps the
// server's own error or the network's, and drops pgx's ConnectError, which
// holds the whole configuration.
func newDialError(err error, now time.Time) (*DialError, trouble) {
	code, t := classify(err)
	cause := rootCause(err)
	message := cause.Error()
	if pg, ok := cause.(*pgconn.PgError); ok {
		message = pg.Message + " (SQLSTATE " + pg.Code + ")"
	} else if role := unwantedRole(err); role != nil {
		cause, message = role, eachHost(err)
	}
	return &DialError{At: now, SQLState: code, Reason: t.reason, Message: message, Remedy: t.remedy, err: cause}, t
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

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
