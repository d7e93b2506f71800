package config

// ResetMode says what becomes of the state that a caller leaves in a session:
// settings, roles, temporary tables, advisory locks, LISTEN, cursors. The zero
// value is not valid; [Default] sets ResetOff.
type ResetMode string

// The modes of resetting sessions.
const (
	// ResetOff leaves it to the next caller, as pools of Go do.
	ResetOff ResetMode = "off"
	// ResetDiscard does away with it before the next caller has the session.
	ResetDiscard ResetMode = "discard"
)
