// Package examples holds programs on dbpool, each runnable from the
// repository's root:
//
//   - quickstart: the README's twenty lines, on a database that you have
//   - service: a whole small service, which brings its own database
//   - fleet: replicas on a server too small for all, without and with one budget
//
// Its tests run the documents' pieces of code.
package examples
