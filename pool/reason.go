package pool

import "slices"

// Reason is why the server grants no new connection, in a few fixed words that
// hold no name, no address and no text of the server's.
type Reason string

// The reasons. Empty means that the server grants connections.
const (
	ReasonServerFull         Reason = "server full"               // max_connections is used up
	ReasonReservedSlots      Reason = "reserved slots"            // only slots for privileged roles are left
	ReasonRoleLimit          Reason = "role limit"                // the role's CONNECTION LIMIT is used up
	ReasonDatabaseLimit      Reason = "database limit"            // the database's CONNECTION LIMIT is used up
	ReasonPoolerFull         Reason = "pooler full"               // PgBouncer's max_client_conn is used up
	ReasonFleetFull          Reason = "fleet full"                // the fleet's budget has no place for one more replica
	ReasonStartingUp         Reason = "starting up"               // passes by itself
	ReasonInRecovery         Reason = "in recovery"               // passes by itself
	ReasonShuttingDown       Reason = "shutting down"             // passes by itself, if the server comes back
	ReasonNotAccepting       Reason = "not accepting connections" // a standby with hot_standby=off
	ReasonNoPrimary          Reason = "no primary"                // no host is what target_session_attrs asks for
	ReasonNoStandby          Reason = "no standby"                // the same
	ReasonAuthentication     Reason = "authentication"            // wrong user or password
	ReasonNoDatabase         Reason = "no such database"
	ReasonNoPrivilege        Reason = "no privilege to connect" // the role lacks CONNECT
	ReasonCheckRefused       Reason = "check refused"           // the first statement on a new connection failed
	ReasonDatabaseClosed     Reason = "database closed"         // it lets nobody in: ALLOW_CONNECTIONS false
	ReasonParameterRefused   Reason = "parameter refused"       // a startup parameter that the server does not take
	ReasonFilesUnreadable    Reason = "files unreadable"        // a file that DATABASE_URL names cannot be read
	ReasonClientCertificate  Reason = "client certificate refused"
	ReasonCertificateExpired Reason = "server certificate expired"
	ReasonCredentials        Reason = "credentials"           // the function given to WithCredentials failed
	ReasonPanic              Reason = "panic"                 // a function given to an option panicked
	ReasonRefusedByServer    Reason = "refused by the server" // for a reason that has no word here
	ReasonRefusedByPooler    Reason = "refused by the pooler" // the same, by PgBouncer
	ReasonNoTLS              Reason = "no TLS"                // the server has no TLS and it is asked for
	ReasonUntrusted          Reason = "certificate not trusted"
	ReasonNoHostName         Reason = "no host name" // the connection string's host is not one
	ReasonHostNotFound       Reason = "host not found"
	ReasonNoAnswer           Reason = "no answer"        // within DB_CONNECT_TIMEOUT
	ReasonUnreachable        Reason = "unreachable"      // another error of the network
	ReasonAfterConnect       Reason = "after connect"    // the function given to WithAfterConnect failed
	ReasonFleetUnreadable    Reason = "fleet unreadable" // this role may not see who else is connected, and DB_FLEET=enforce
)

// Reasons lists them all, for metrics that need a value for each.
func Reasons() []Reason {
	return []Reason{
		ReasonServerFull,
		ReasonReservedSlots,
		ReasonRoleLimit,
		ReasonDatabaseLimit,
		ReasonPoolerFull,
		ReasonFleetFull,
		ReasonStartingUp,
		ReasonInRecovery,
		ReasonShuttingDown,
		ReasonNotAccepting,
		ReasonNoPrimary,
		ReasonNoStandby,
		ReasonAuthentication,
		ReasonNoDatabase,
		ReasonNoPrivilege,
		ReasonCheckRefused,
		ReasonDatabaseClosed,
		ReasonParameterRefused,
		ReasonFilesUnreadable,
		ReasonClientCertificate,
		ReasonCertificateExpired,
		ReasonCredentials,
		ReasonPanic,
		ReasonRefusedByServer,
		ReasonRefusedByPooler,
		ReasonNoTLS,
		ReasonUntrusted,
		ReasonNoHostName,
		ReasonHostNotFound,
		ReasonNoAnswer,
		ReasonUnreachable,
		ReasonAfterConnect,
		ReasonFleetUnreadable,
	}
}

// NoCapacity reports whether the server, a pooler or the fleet has no room for
// one more session.
func (r Reason) NoCapacity() bool {
	return slices.Contains([]Reason{ReasonServerFull, ReasonReservedSlots, ReasonRoleLimit, ReasonDatabaseLimit, ReasonPoolerFull, ReasonFleetFull}, r)
}

// Passing reports whether the server says that it will grant connections soon.
func (r Reason) Passing() bool {
	return r == ReasonStartingUp || r == ReasonInRecovery || r == ReasonShuttingDown
}
