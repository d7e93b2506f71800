// Package pgdriver runs statements on one server session.
//
// A [Run] sends the statements of callers who know nothing of each other in one
// pipeline: one write, an implicit transaction and an answer for each. A [Link]
// is the session as a Run needs it, with the statements prepared there. A
// [Table] remembers, for the whole pool, which statements may take part.
//
// The package knows no pool: who may use a session, and who joins which Run, is
// decided elsewhere.
package pgdriver
