package config

import "time"

// Default returns the settings that suit most services: 5 + 5 connections,
// recycled every 5 minutes. It is what FromEnv starts from when DB_ENV is not
// set or "default". DatabaseURL is empty.
func Default() Config {
	return Config{
		Name:                  "db",
		PoolSize:              5,
		MaxOverflow:           5,
		PoolTimeout:           30 * time.Second,
		PoolRecycle:           5 * time.Minute,
		ConnectTimeout:        10 * time.Second,
		StatementTimeout:      30 * time.Second,
		OverflowLinger:        30 * time.Second,
		LeakThreshold:         time.Minute,
		ReadShare:             "50%",
		ReadWait:              time.Second,
		Nested:                NestedWait,
		Pipeline:              PipelineReads,
		Reset:                 ResetOff,
		Pooler:                PoolerAuto,
		Fleet:                 FleetWarn,
		FleetSurge:            1,
		FleetKeySpace:         0xDB,
		PoolMonitoring:        true,
		LogPoolStatusInterval: 5 * time.Minute,
		MaxConnectionWarnings: 80,
	}
}

// Production returns [Default] with 3 + 3 connections, recycled every 10
// minutes: many replicas share one server there. DB_ENV=production, or prod.
func Production() Config {
	c := Default()
	c.PoolSize = 3
	c.MaxOverflow = 3
	c.PoolRecycle = 10 * time.Minute
	return c
}

// Development returns [Default] with 10 + 10 connections, recycled every 5
// minutes: one developer has the server to themselves. DB_ENV=development, or
// dev.
func Development() Config {
	c := Default()
	c.PoolSize = 10
	c.MaxOverflow = 10
	c.PoolRecycle = 5 * time.Minute
	return c
}

// Serverless returns [Default] for an instance that serves one request at a time
// and is frozen between requests: one connection, no part in a fleet, and nothing
// that works or warns by the clock, which has jumped when the instance wakes.
// DB_ENV=serverless.
func Serverless() Config {
	c := Default()
	c.PoolSize = 1
	c.MaxOverflow = 0
	c.LeakThreshold = 0
	c.Fleet = FleetOff
	c.PoolMonitoring = false
	return c
}

// preset returns the preset that DB_ENV names. An unknown name is a problem,
// not a reason to guess; the default preset then stands in so that the other
// variables can still be checked.
func preset(name string) (Config, []Problem) {
	switch name {
	case "", "default":
		return Default(), nil
	case "production", "prod":
		return Production(), nil
	case "development", "dev":
		return Development(), nil
	case "serverless":
		return Serverless(), nil
	}
	return Default(), []Problem{{
		Variable: "DB_ENV",
		Rule:     quote(name) + " is not a preset",
		Remedy:   "use default, production, development or serverless",
	}}
}
