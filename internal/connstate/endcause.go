package connstate

// EndCause says what ended a connection that its pool did not close on purpose,
// which is one that counts as CloseBroken.
type EndCause int32

// The causes. EndUnknown is that of a connection whose driver does not tell.
const (
	EndUnknown         EndCause = iota
	EndTerminated               // 57P01: pg_terminate_backend, or a shutdown
	EndCrashed                  // 57P02: another process of the server crashed
	EndDatabaseDropped          // 57P04
	EndIdleSession              // 57P05: idle_session_timeout
	EndIdleTransaction          // 25P03: idle_in_transaction_session_timeout
	EndTransaction              // 25P04: transaction_timeout
	EndConflict                 // 40001: a standby's conflict with what it replays
	EndOtherError               // another error with which the server ends sessions
	EndSilent                   // closed or reset without an error message
	EndNetwork                  // the network gave the server's host up
	EndGivenUp                  // the pool gave it up: no answer came in time
	EndReadOnly                 // the pool gave it up: its server takes no writes any more
	EndCauses                   // how many there are
)
