package stack

// Trace is where something was asked for: the return addresses of those who called.
// Names are looked up only when somebody reads them.
type Trace struct {
	pcs [traceFrames]uintptr
	n   int
}

// traceFrames is enough for database/sql's own, an ORM's, and a way through the service.
const traceFrames = 32

// Capture keeps the callers of the function that called it.
//
//go:noinline
func (t *Trace) Capture() { t.n = callers(1, t.pcs[:]) }

// Clear forgets them.
func (t *Trace) Clear() { t.n = 0 }

// PCs returns them, innermost first; none before Capture.
func (t *Trace) PCs() []uintptr { return t.pcs[:t.n] }
