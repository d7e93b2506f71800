package config

// NestedMode says what happens to a caller that asks for a second connection of
// the pool while it holds one. The zero value is not valid; [Default] sets
// NestedWait.
type NestedMode string

// The modes for nested acquisitions.
const (
	// NestedWait lets such a caller wait like any other.
	NestedWait NestedMode = "wait"
	// NestedRefuse refuses it at once.
	NestedRefuse NestedMode = "refuse"
)
