// Package stack notes who called, at about a nanosecond a frame, so that every
// query can afford it. runtime.Callers takes half a microsecond for the same
// two frames when its code and tables are not in the processor's caches, which
// between two queries they are not: 2 % of a query on the same machine.
//
// On linux/amd64 it follows the frame pointers, which Go maintains there for
// profilers and which its own execution tracer follows in the same way.
// Elsewhere it is runtime.Callers.
package stack

import "runtime"

// Callers fills pcs with return addresses of the calling goroutine and returns
// how many there were. With skip 0 they begin with the caller of the function
// that calls Callers. runtime.CallersFrames makes names of them. Inlined
// functions show up there, but skip counts none of them.
func Callers(skip int, pcs []uintptr) int { return callers(skip, pcs) }

// portable is Callers for every platform. To runtime.Callers inlined functions
// count as well, so what is skipped is the same or less.
func portable(skip int, pcs []uintptr) int { return runtime.Callers(skip+3, pcs) }
