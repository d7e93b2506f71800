// Package daytest runs a service for a day, in virtual time, and reads its log. It
// is a package of its own because it is tested without the race detector, which
// gives up ("ThreadSanitizer: CHECK failed") now and then in so many switches
// between goroutines. What it runs is tested with the race detector elsewhere.
package daytest
