package stack

import (
	"slices"
	"sync/atomic"
)

// Sites keeps each way that leads to a question once: who waits, or holds
// something, points at it instead of carrying its return addresses. Its zero value
// is ready for use, by any number of goroutines. It holds at most siteCount ways;
// where there are more, the latest take the place of others, which live on as
// long as somebody points at them.
type Sites struct {
	known [siteCount]atomic.Pointer[site]
}

const (
	siteCount  = 1024 // a power of two
	siteProbes = 4    // places in which one may be
)

// site is one way, innermost first. It never changes.
type site struct {
	hash uint64
	pcs  []uintptr
}

// Trace is where something was asked for: who called, and by whom that was called.
// Names are looked up only when somebody reads them. Its zero value has no callers.
type Trace struct{ site *site }

// traceFrames is enough for database/sql's own, an ORM's, and a way through the service.
const traceFrames = 32

// Capture returns the callers of the function that called it.
//
//go:noinline
func (s *Sites) Capture() Trace {
	var pcs [traceFrames]uintptr
	n := callers(1, pcs[:])
	return Trace{s.of(pcs[:n])}
}

// of returns the site of pcs, which it does not keep.
func (s *Sites) of(pcs []uintptr) *site {
	h := hashOf(pcs)
	for i := range uint64(siteProbes) {
		if k := s.known[(h+i)%siteCount].Load(); k != nil && k.hash == h && slices.Equal(k.pcs, pcs) {
			return k
		}
	}
	return s.add(h, pcs)
}

// add takes in a new site, at a free place or that of another one.
func (s *Sites) add(h uint64, pcs []uintptr) *site {
	k := &site{h, slices.Clone(pcs)}
	for i := range uint64(siteProbes) {
		if s.known[(h+i)%siteCount].CompareAndSwap(nil, k) {
			return k
		}
	}
	s.known[(h+h>>32%siteProbes)%siteCount].Store(k)
	return k
}

// hashOf mixes the addresses, as FNV-1a does bytes.
func hashOf(pcs []uintptr) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, pc := range pcs {
		h = (h ^ uint64(pc)) * prime
	}
	return h ^ h>>29
}

// PCs returns the return addresses, innermost first; none of a zero Trace. Nobody
// may change them.
func (t Trace) PCs() []uintptr {
	if t.site == nil {
		return nil
	}
	return t.site.pcs
}
