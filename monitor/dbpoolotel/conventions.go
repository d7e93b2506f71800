package dbpoolotel

import "github.com/dbpool-go/dbpool/pool"

// All that the semantic conventions name is in this file: when they change, it
// follows, and conventions_test.go, which reads the convention's own package,
// says whether it did.

const schemaURL = "https://opentelemetry.io/schemas/1.43.0"

// Attributes.
const (
	attrPoolName  = "db.client.connection.pool.name"
	attrState     = "db.client.connection.state"
	attrSystem    = "db.system.name"
	attrErrorType = "error.type"

	stateUsed        = "used"
	stateIdle        = "idle"
	systemPostgreSQL = "postgresql"
	errorOther       = "_OTHER"
)

// conventional are the instruments that are observed.
func conventional() []instrument {
	return []instrument{
		{"db.client.connection.count", upDownCounter, "{connection}", attrState,
			"The number of connections that are currently in state described by the `state` attribute.",
			func(s *pool.Stats, put put) {
				put(stateUsed, float64(s.InUse))
				put(stateIdle, float64(s.Idle))
			}},
		{"db.client.connection.idle.max", upDownCounter, "{connection}", "",
			"The maximum number of idle open connections allowed.",
			one(func(s *pool.Stats) int { return s.PoolSize })},
		// Nothing is opened before it is wanted.
		{"db.client.connection.idle.min", upDownCounter, "{connection}", "",
			"The minimum number of idle open connections allowed.",
			one(func(*pool.Stats) int { return 0 })},
		{"db.client.connection.max", upDownCounter, "{connection}", "",
			"The maximum number of open connections allowed.",
			one(func(s *pool.Stats) int { return s.Limit })},
		{"db.client.connection.pending_requests", upDownCounter, "{request}", "",
			"The number of current pending requests for an open connection.",
			one(func(s *pool.Stats) int { return s.Waiting })},
		{"db.client.connection.timeouts", counter, "{timeout}", "",
			"The number of connection timeouts that have occurred trying to obtain a connection from the pool.",
			one(func(s *pool.Stats) uint64 { return s.TimeoutCount })},
	}
}

// The instruments that an Observer records.

func createTime() instrument {
	return instrument{"db.client.connection.create_time", histogram, "s", "",
		"The time it took to create a new connection.", nil}
}

func waitTime() instrument {
	return instrument{"db.client.connection.wait_time", histogram, "s", "",
		"The time it took to obtain an open connection from the pool.", nil}
}

func useTime() instrument {
	return instrument{"db.client.connection.use_time", histogram, "s", "",
		"The time between borrowing a connection and returning it to the pool.", nil}
}
