package dial

// Reason is why the server grants no new connection, in a few fixed words that
// hold no name, no address and no text of the server's.
type Reason string

// The reasons, as package pool explains them.
const (
	ReasonServerFull         Reason = "server full"
	ReasonReservedSlots      Reason = "reserved slots"
	ReasonRoleLimit          Reason = "role limit"
	ReasonDatabaseLimit      Reason = "database limit"
	ReasonPoolerFull         Reason = "pooler full"
	ReasonFleetFull          Reason = "fleet full"
	ReasonStartingUp         Reason = "starting up"
	ReasonInRecovery         Reason = "in recovery"
	ReasonShuttingDown       Reason = "shutting down"
	ReasonNotAccepting       Reason = "not accepting connections"
	ReasonNoPrimary          Reason = "no primary"
	ReasonNoStandby          Reason = "no standby"
	ReasonAuthentication     Reason = "authentication"
	ReasonNoDatabase         Reason = "no such database"
	ReasonNoPrivilege        Reason = "no privilege to connect"
	ReasonCheckRefused       Reason = "check refused"
	ReasonDatabaseClosed     Reason = "database closed"
	ReasonParameterRefused   Reason = "parameter refused"
	ReasonFilesUnreadable    Reason = "files unreadable"
	ReasonClientCertificate  Reason = "client certificate refused"
	ReasonCertificateExpired Reason = "server certificate expired"
	ReasonCredentials        Reason = "credentials"
	ReasonPanic              Reason = "panic"
	ReasonRefusedByServer    Reason = "refused by the server"
	ReasonRefusedByPooler    Reason = "refused by the pooler"
	ReasonNoTLS              Reason = "no TLS"
	ReasonUntrusted          Reason = "certificate not trusted"
	ReasonNoHostName         Reason = "no host name"
	ReasonHostNotFound       Reason = "host not found"
	ReasonNoAnswer           Reason = "no answer"
	ReasonUnreachable        Reason = "unreachable"
	ReasonAfterConnect       Reason = "after connect"
	ReasonFleetUnreadable    Reason = "fleet unreadable"
)

// Reasons lists them all.
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
