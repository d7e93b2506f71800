package pool

import (
	"context"
	"fmt"
	"runtime"
	"strings"
)

// caller is where a connection was asked for. Capturing a frame costs some 50
// ns in practice, which every query pays, so little is captured while there is
// nothing to be told about: see gate.alertLocked. Names are looked up only when
// somebody reads them.
type caller struct {
	near [2]uintptr
	far  []uintptr // instead of near
}

const (
	alertFrames = 12 // a way through the service

	// Between a service and its connection may stand database/sql, and on top of
	// it an ORM.
	sqlFrames = 8
	ormFrames = 6
)

// capture keeps the frames from skip on, 0 being the one that calls capture.
func (c *caller) capture(skip int, alert bool) {
	if alert {
		c.keep(skip+1, alertFrames)
		return
	}
	runtime.Callers(skip+2, c.near[:])
}

// captureFar keeps more, for callers behind other libraries.
func (c *caller) captureFar(skip int, alert bool) {
	frames := sqlFrames + ormFrames
	if alert {
		frames += alertFrames
	}
	c.keep(skip+1, frames)
}

func (c *caller) keep(skip, frames int) {
	c.far = make([]uintptr, frames)
	c.far = c.far[:runtime.Callers(skip+2, c.far)]
}

// callerKey finds the caller that was captured further out, where fewer
// libraries stood in between.
type callerKey struct{}

// remembered is a context with its caller.
type remembered struct {
	context.Context
	by caller
}

// Value finds the caller and passes everything else on.
func (r *remembered) Value(key any) any {
	if _, ok := key.(callerKey); ok {
		return &r.by
	}
	return r.Context.Value(key)
}

// remember captures the caller of the function that calls remember.
func (p *Pool) remember(ctx context.Context) context.Context {
	if ctx.Value(callerKey{}) != nil {
		return ctx
	}
	r := &remembered{Context: ctx}
	r.by.capture(2, p.gate.alert.Load())
	return r
}

// frames calls yield with every captured frame, innermost first.
func (c *caller) frames(yield func(runtime.Frame) bool) {
	pcs := c.far
	if pcs == nil {
		pcs = c.near[:]
	}
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		if f.PC != 0 && !yield(f) || !more {
			return
		}
	}
}

// plumbing is how the names of functions begin that are never the answer to
// "who asked": this library's, and what stands between it and a service.
var plumbing = [...]string{"github.com/dbpool-go/dbpool/pool.", "database/sql.", "runtime.", "net/http."}

func isPlumbing(f runtime.Frame) bool {
	for _, p := range plumbing {
		if strings.HasPrefix(f.Function, p) {
			return !strings.HasSuffix(f.File, "_test.go")
		}
	}
	return false
}

// isDependency reports whether f belongs to a module that was downloaded: an
// ORM, say, that asked on behalf of the service.
func isDependency(f runtime.Frame) bool {
	return strings.Contains(f.File, "@v") || strings.Contains(f.File, "/vendor/")
}

// String returns the innermost frame of the service itself as
// "dir/file.go:line"; of a library, if there is no other.
func (c *caller) String() string {
	found := "unknown"
	for f := range c.frames {
		if isPlumbing(f) {
			continue
		}
		if !isDependency(f) {
			return where(f)
		}
		if found == "unknown" {
			found = where(f)
		}
	}
	return found
}

// stack returns every captured frame, innermost first.
func (c *caller) stack() []string {
	var out []string
	for f := range c.frames {
		out = append(out, f.Function+" "+where(f))
	}
	return out
}

// where is a frame's file, its folder and its line: enough to find it, nothing
// of the machine it was built on.
func where(f runtime.Frame) string {
	path := f.File
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		path = path[strings.LastIndexByte(path[:i], '/')+1:]
	}
	return fmt.Sprintf("%s:%d", path, f.Line)
}
