package pool

// What a connection is doing, for those who look at its holder.
const (
	activityIdle int32 = iota
	activityRunning
	activityRows
	activityTx
	activityReclaimed // taken away from its holder; see reclaim.go
	activityUnused    // nobody's, or not yet ready for its holder
	activityListening // somebody waits for the server to speak of its own accord; see conn.doing
)

func activityName(a int32) string {
	switch a {
	case activityRunning:
		return "running"
	case activityRows:
		return "rows open"
	case activityTx:
		return "idle in transaction"
	case activityReclaimed:
		return "reclaimed"
	case activityListening:
		return "listening"
	}
	return "idle"
}
