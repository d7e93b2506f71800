// Package pgdriver is one server session: what runs on it, what becomes of it, and
// how several callers share it.
//
// A [Conn] is pgx's connection with a record of what it is doing. It knows whether
// it is alive (conn.go, conncheck), whether a statement may have been executed when
// its connection ends (exchange.go, judge.go), how a statement is cancelled without
// losing the connection (watch.go, cancel.go), and when the server has ended the
// session (socket.go).
//
// A [Run] sends the statements of callers who know nothing of each other in one
// pipeline: one write, an implicit transaction and an answer for each. A [Link]
// is the session as a Run needs it, with the statements prepared there. A
// [Table] remembers, for the whole pool, which statements may take part.
//
// The package knows no pool. Who may use a session, who joins which Run, and who
// closes a session is decided elsewhere: it is given a [Slot] to note its state in,
// an [Owner] to be closed by, and for each socket a [Hold] to give back.
package pgdriver
