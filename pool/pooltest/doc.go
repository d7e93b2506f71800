// Package pooltest helps to test code that uses a pool: a real PostgreSQL with a
// database for each test, a check that every connection was given back, and a
// stand-in for handlers that need no database.
//
//	var orders = &pooltest.Template{Prepare: migrate} // runs once
//
//	func TestOrder(t *testing.T) {
//		p := orders.Open(t) // a copy of the database that migrate made
//		…
//	}
package pooltest
