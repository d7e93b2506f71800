// Package pagetest looks at the status page with a real browser. It is a module
// of its own, so that nobody who uses the pool compiles a browser's protocol.
package pagetest
