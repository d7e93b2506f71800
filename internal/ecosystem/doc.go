// Package ecosystem tests that libraries made for database/sql work through
// pool.DB on a real server, under the pool's limit and in its order. Each row of
// docs/libraries.md is one of its tests. It is a module of its own, so that the
// libraries stay out of everybody else's.
package ecosystem
