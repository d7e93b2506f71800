package dial

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// classify tells what a failed dial means: by SQLSTATE, then by the text for
// the reason, because PostgreSQL has one code for five kinds of "too many".
func classify(err error) (code string, t Trouble) {
	var itself Troubled
	if errors.As(err, &itself) {
		if t, ok := itself.Trouble(); ok {
			return pgdriver.SQLState(err), t
		}
	}
	var supplier *credentialsError
	if errors.As(err, &supplier) {
		return "", Trouble{Reason: ReasonCredentials, Remedy: "see what the function given to WithCredentials says"}
	}
	var panicked *PanicError
	if errors.As(err, &panicked) {
		return "", Trouble{Reason: ReasonPanic, Remedy: "see the stack in the log: a function given to WithDialFunc, WithCredentials, WithConnConfig or WithAfterConnect panicked"}
	}
	if errors.As(err, new(*afterConnectError)) {
		return pgdriver.SQLState(err), Trouble{Reason: ReasonAfterConnect, Remedy: "see what the function given to WithAfterConnect says"}
	}
	if pinned := new(pinnedError); errors.As(err, &pinned) {
		return "", Trouble{Reason: ReasonRefusedByPooler, Permanent: true,
			Remedy: "ALTER ROLE … SET " + pinned.name + " = …, or ALTER DATABASE, and take it out of DATABASE_URL and PGOPTIONS; or connect to the server itself"}
	}
	if errors.As(err, new(*configError)) {
		return "", Trouble{Reason: ReasonFilesUnreadable, Remedy: "put the files that DATABASE_URL names in place, readable for this process; each dial reads them"}
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
		t = Trouble{Reason: ReasonShuttingDown, Remedy: remedyWait}
	case pgdriver.StateInvalidPassword:
		t = Trouble{Reason: ReasonAuthentication, Permanent: true, Remedy: remedyAuthentication}
	case pgdriver.StateNoSuchDatabase, pgdriver.StateDatabaseDropped:
		t = Trouble{Reason: ReasonNoDatabase, Permanent: true, Remedy: "check the database in DATABASE_URL, or create it"}
	case pgdriver.StateProtocolViolation:
		t = classifyProtocol(pg)
	default:
		t = classifyRefusal(err, pg)
	}
	return pg.Code, t
}

// class is how many characters of a SQLSTATE name its class.
const class = 2

// IsWrong reports whether the server says that something it was sent is wrong, or
// not allowed: it says so again the next time.
func IsWrong(code string) bool {
	return len(code) > class && slices.Contains([]string{"0A", "22", "28", "42"}, code[:class])
}

// classifyRefusal is for a server that did not like what the dial sent it. The
// startup packet is the same the next time, so whatever says that something in
// it is wrong is permanent.
func classifyRefusal(err error, pg *pgconn.PgError) Trouble {
	wrong := IsWrong(pg.Code)
	switch {
	case wrong && errors.As(err, new(*checkError)):
		return Trouble{Reason: ReasonCheckRefused, Permanent: true,
			Remedy: "let this role call pg_backend_pid and current_setting: each new connection is checked with them"}
	case pg.Code == pgdriver.StateNoPrivilege && !strings.Contains(pg.Message, "parameter"):
		return Trouble{Reason: ReasonNoPrivilege, Permanent: true, Remedy: "GRANT CONNECT ON DATABASE to this role"}
	case pg.Code == pgdriver.StateNotInState:
		return Trouble{Reason: ReasonDatabaseClosed, Permanent: true, Remedy: "ALTER DATABASE " + quoted(pg.Message, "the database") + " ALLOW_CONNECTIONS true, or check the database in DATABASE_URL"}
	case pg.Code == pgdriver.StateInvalidAuth && strings.Contains(pg.Message, "certificate"):
		return Trouble{Reason: ReasonClientCertificate, Permanent: true, Remedy: remedyClientCertificate}
	case len(pg.Code) > class && pg.Code[:class] == "28":
		return Trouble{Reason: ReasonAuthentication, Permanent: true, Remedy: remedyAuthentication}
	case wrong, pg.Code == pgdriver.StateCannotChange:
		return parameterRefused()
	}
	return Trouble{Reason: ReasonRefusedByServer, Remedy: remedyWait}
}

// parameterRefused is for a startup packet that holds something the server does
// not take: a parameter it does not know or may not change, a value of the wrong
// kind, broken options.
func parameterRefused() Trouble {
	return Trouble{Reason: ReasonParameterRefused, Permanent: true,
		Remedy: "correct that parameter in DATABASE_URL or PGOPTIONS, or take it out"}
}

// classifyProtocol tells a server that cannot read the startup packet from a
// pooler, which says 08P01 to everything.
func classifyProtocol(pg *pgconn.PgError) Trouble {
	if pg.Routine == "ProcessStartupPacket" {
		return parameterRefused()
	}
	return classifyPooler(pg.Message)
}

// classifyFull goes by the place in the server's source that refused, which is
// the same in all languages, and else by the text.
func classifyFull(pg *pgconn.PgError) Trouble {
	said := func(routine, text string) bool { return pg.Routine == routine || strings.Contains(pg.Message, text) }
	t := Trouble{Full: true, Reason: ReasonServerFull,
		Remedy: "lower DB_POOL_SIZE and DB_MAX_OVERFLOW, end other sessions, or raise max_connections"}
	switch {
	case said("InitializeSessionUserId", "too many connections for role"):
		t.Reason, t.Remedy = ReasonRoleLimit, "lower DB_POOL_SIZE and DB_MAX_OVERFLOW, or raise ALTER ROLE "+quoted(pg.Message, "the role")+" CONNECTION LIMIT"
	case said("CheckMyDatabase", "too many connections for database"):
		t.Reason, t.Remedy = ReasonDatabaseLimit, "lower DB_POOL_SIZE and DB_MAX_OVERFLOW, or raise ALTER DATABASE "+quoted(pg.Message, "the database")+" CONNECTION LIMIT"
	case said("InitPostgres", "reserved for"):
		t.Reason = ReasonReservedSlots // only the reserved slots are left: full for an ordinary role
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
func classifyNotNow(message string) Trouble {
	switch {
	case strings.Contains(message, "is not accepting connections"):
		return Trouble{Reason: ReasonNotAccepting, Remedy: "set hot_standby=on on that standby, or take it out of DATABASE_URL"}
	case strings.Contains(message, "shutting down"):
		return Trouble{Reason: ReasonShuttingDown, Remedy: remedyWait}
	case strings.Contains(message, "recovery"):
		return Trouble{Reason: ReasonInRecovery, Remedy: remedyWait}
	}
	return Trouble{Reason: ReasonStartingUp, Remedy: remedyWait}
}

// classifyPooler knows the words of PgBouncer.
func classifyPooler(message string) Trouble {
	if strings.Contains(message, "no more connections allowed") {
		return Trouble{Full: true, Reason: ReasonPoolerFull, Remedy: "raise max_client_conn of PgBouncer, or lower DB_POOL_SIZE and DB_MAX_OVERFLOW"}
	}
	if saysUnsupported(message) {
		return Trouble{Reason: ReasonRefusedByPooler, Permanent: true,
			Remedy: "set DB_POOLER=pgbouncer, and take the parameter out of DATABASE_URL or add it to ignore_startup_parameters"}
	}
	if strings.Contains(message, "no such database") {
		return Trouble{Reason: ReasonNoDatabase, Permanent: true, Remedy: "add the database to the [databases] section of PgBouncer"}
	}
	if strings.Contains(message, "no such user") || strings.Contains(message, "authentication failed") {
		return Trouble{Reason: ReasonAuthentication, Permanent: true, Remedy: "add the user to PgBouncer's auth_file"}
	}
	return Trouble{Reason: ReasonRefusedByPooler, Remedy: "see the pooler's log, and whether it reaches its server"}
}

// saysUnsupported recognizes PgBouncer's refusal of a startup parameter, or of
// one among the options.
func saysUnsupported(message string) bool {
	return strings.Contains(message, "unsupported startup parameter") || strings.Contains(message, "unsupported options startup parameter")
}

// refusesPassword reports whether another password may help. PgBouncer says it
// in words.
func refusesPassword(err error) bool {
	_, t := classify(err)
	return t.Permanent && t.Reason == ReasonAuthentication
}
