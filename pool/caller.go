package pool

import (
	"fmt"
	"runtime"
	"strings"
)

// caller is where a connection was asked for. Capturing program counters costs
// a fraction of a microsecond; names are looked up only when somebody reads them.
type caller struct {
	pcs [16]uintptr
	n   int
}

func (c *caller) capture() { c.n = runtime.Callers(3, c.pcs[:]) }

// modulePrefix is how functions of this library and of database/sql begin:
// they are never the answer to "who asked".
var skippedPrefixes = [...]string{"github.com/dbpool-go/dbpool/pool.", "database/sql.", "runtime.", "net/http."}

func skipped(function string) bool {
	for _, p := range skippedPrefixes {
		if strings.HasPrefix(function, p) {
			return true
		}
	}
	return false
}

// String returns the innermost frame outside this library as "dir/file.go:line".
func (c *caller) String() string {
	if c.n == 0 {
		return "unknown"
	}
	frames := runtime.CallersFrames(c.pcs[:c.n])
	for {
		f, more := frames.Next()
		if !skipped(f.Function) || strings.HasSuffix(f.File, "_test.go") {
			return fmt.Sprintf("%s:%d", lastTwo(f.File), f.Line)
		}
		if !more {
			return "unknown"
		}
	}
}

// stack returns every captured frame, innermost first.
func (c *caller) stack() []string {
	if c.n == 0 {
		return nil
	}
	var out []string
	frames := runtime.CallersFrames(c.pcs[:c.n])
	for {
		f, more := frames.Next()
		out = append(out, fmt.Sprintf("%s %s:%d", f.Function, lastTwo(f.File), f.Line))
		if !more {
			return out
		}
	}
}

// lastTwo keeps a path's file and folder: enough to find it, nothing of the build machine.
func lastTwo(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		if j := strings.LastIndexByte(path[:i], '/'); j >= 0 {
			return path[j+1:]
		}
	}
	return path
}
