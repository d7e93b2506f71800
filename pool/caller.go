package pool

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/dbpool-go/dbpool/internal/stack"
)

// caller is where a connection was asked for. Names are looked up only when
// somebody reads them.
type caller struct {
	pcs [callerFrames]uintptr
	n   int
}

// callerFrames is enough for database/sql's own, an ORM's, and a way through the service.
const callerFrames = 32

// capture keeps the callers of the function that called it.
func (c *caller) capture() { c.n = stack.Callers(1, c.pcs[:]) }

// frames calls yield with every captured frame, innermost first.
func (c *caller) frames(yield func(runtime.Frame) bool) {
	frames := runtime.CallersFrames(c.pcs[:c.n])
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

// stack returns the captured frames, innermost first, from where somebody
// outside this library and database/sql asked.
func (c *caller) stack() []string {
	var all, out []string
	for f := range c.frames {
		line := f.Function + " " + where(f)
		all = append(all, line)
		if out != nil || !isPlumbing(f) {
			out = append(out, line)
		}
	}
	if out == nil {
		return all
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
