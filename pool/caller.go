package pool

import (
	"fmt"
	"runtime"
	"strings"
)

// caller is where a connection was asked for. Capturing program counters costs
// about 50 ns a frame, so calls that go straight to the pool keep a few, and
// those that come through other layers of libraries keep many. Names are looked
// up only when somebody reads them.
type caller struct {
	n    int
	near [nearFrames]uintptr
	far  []uintptr // instead of near
}

const (
	nearFrames = 6
	farFrames  = 20 // database/sql's own, an ORM's, and what is left for the service
)

// capture keeps the frames above the function that called capture's caller.
func (c *caller) capture() { c.n = runtime.Callers(4, c.near[:]) }

// captureFar keeps more frames of a caller further up.
func (c *caller) captureFar() {
	c.far = make([]uintptr, farFrames)
	c.n = runtime.Callers(4, c.far)
}

// frames calls yield with every captured frame, innermost first.
func (c *caller) frames(yield func(runtime.Frame) bool) {
	pcs := c.far
	if pcs == nil {
		pcs = c.near[:]
	}
	if c.n == 0 {
		return
	}
	frames := runtime.CallersFrames(pcs[:c.n])
	for {
		f, more := frames.Next()
		if !yield(f) || !more {
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
