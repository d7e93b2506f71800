// Package dial opens connections to PostgreSQL: it makes of a connection string,
// its files, fresh credentials and the user's hooks a [pgdriver.Conn] that has been
// checked, and of a refusal a [Failure] that says what it means and what to do.
//
// One dial tries all hosts under one slot, so that it never has two sessions at the
// server, and adapts to what it finds: a pooler, a server that does not know a
// parameter, a password that was changed. Who dials, how often and for whom, is
// decided elsewhere.
package dial
