package stack

// callers is in assembly: only there can the frame pointer be had.
//
//go:noescape
func callers(skip int, pcs []uintptr) int
