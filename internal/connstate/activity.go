package connstate

// What a connection is doing, for those who look at its holder.
const (
	ActivityIdle      int32 = iota
	ActivityRunning         // a statement
	ActivityRows            // the rows of a query are open
	ActivityTx              // idle in a transaction
	ActivityReclaimed       // taken away from its holder
	ActivityUnused          // nobody's, or not yet ready for its holder
	ActivityListening       // somebody waits for the server to speak of its own accord
)

// ActivityName is what a holder is shown to do.
func ActivityName(a int32) string {
	switch a {
	case ActivityRunning:
		return "running"
	case ActivityRows:
		return "rows open"
	case ActivityTx:
		return "idle in transaction"
	case ActivityReclaimed:
		return "reclaimed"
	case ActivityListening:
		return "listening"
	}
	return "idle"
}
