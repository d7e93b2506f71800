//go:build !(linux && amd64)

package stack

func callers(skip int, pcs []uintptr) int { return portable(skip+2, pcs) }
