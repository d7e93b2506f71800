// Package connstate holds the words in which the gate, which counts connections,
// and the driver, which uses them, speak of one connection: what it is doing, and
// why it is to be closed. Neither has to know the other for that.
package connstate
