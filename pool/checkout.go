package pool

import (
	"runtime"
	"strings"
	"sync/atomic"
)

// checkoutKind is what database/sql takes a virtual connection out for. It does
// not say, and it matters: sql.DB.Conn makes no call of the driver afterwards, and
// its caller is to wait there for the real connection, or learn why there is
// none. So the call is told by where it comes from.
type checkoutKind uint8

const (
	checkoutForCall   checkoutKind = iota // a statement follows
	checkoutForConn                       // sql.DB.Conn
	checkoutForOpener                     // database/sql's own goroutine, for somebody in its queue
)

// checkoutSites remembers the kinds of the calls seen so far, by return address.
type checkoutSites struct {
	known atomic.Pointer[[]checkoutSite] // replaced, never changed
}

type checkoutSite struct {
	pc   uintptr
	kind checkoutKind
}

// checkoutFrames is how many frames there may be between the driver's function
// and the one of database/sql that tells.
const checkoutFrames = 4

// kind tells by the innermost frames of the call. An address that is not known yet
// is looked up once.
func (s *checkoutSites) kind(pcs []uintptr) checkoutKind {
	for _, pc := range pcs[:min(len(pcs), checkoutFrames)] {
		if site := s.site(pc); site != checkoutForCall {
			return site
		}
	}
	return checkoutForCall
}

func (s *checkoutSites) site(pc uintptr) checkoutKind {
	known := s.known.Load()
	if known != nil {
		for _, site := range *known {
			if site.pc == pc {
				return site.kind
			}
		}
	}
	site := checkoutSite{pc, kindOf(pc)}
	next := []checkoutSite{site}
	if known != nil {
		next = append(next, *known...)
	}
	s.known.CompareAndSwap(known, &next) // or somebody else was first
	return site.kind
}

// kindOf looks at the name of the function that pc is in, and at those inlined there.
func kindOf(pc uintptr) checkoutKind {
	frames := runtime.CallersFrames([]uintptr{pc})
	for {
		f, more := frames.Next()
		switch {
		case strings.HasPrefix(f.Function, "database/sql.(*DB).Conn"):
			return checkoutForConn
		case strings.HasPrefix(f.Function, "database/sql.(*DB).openNewConnection"):
			return checkoutForOpener
		case !more:
			return checkoutForCall
		}
	}
}
