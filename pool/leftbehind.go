package pool

import (
	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/stack"
)

// leftBehind is a parameter that a holder has changed in its session and left
// so for the next one.
type leftBehind struct {
	parameter string
	name      string // of the route or task
	callsite  stack.Trace
}

// maxLeftBehind bounds of how many changes it is remembered that they were told of.
const maxLeftBehind = 1000

// noteChanges notes what the server reported to be another than before permit was
// granted. It may be called under database/sql's locks: the housekeeper tells of it.
func (p *Pool) noteChanges(permit *gate.Permit, b backend) {
	c, ours := b.(*conn)
	if !ours || p.cfg.Reset == config.ResetDiscard {
		return
	}
	names := c.Changed()
	if len(names) == 0 {
		return
	}
	h := p.housekeeper
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range names {
		if len(h.left) < maxLeftBehind {
			h.left = append(h.left, leftBehind{name, permit.Name, permit.Callsite})
		}
	}
}

// logLeftBehind warns once of each parameter and caller. The value is not shown:
// it may be a tenant's name, or worse.
func (h *housekeeper) logLeftBehind() {
	h.mu.Lock()
	left := h.left
	h.left = nil
	h.mu.Unlock()
	for _, l := range left {
		place := caller(l.callsite).place(h.p.plumbing)
		key := l.parameter + " " + place
		if _, told := h.known[key]; told || len(h.known) >= maxLeftBehind {
			continue
		}
		if h.known == nil {
			h.known = make(map[string]struct{})
		}
		h.known[key] = struct{}{}
		h.p.log.Warn("a caller changed its session for whoever has it next", "pool", h.p.cfg.Name, "parameter", l.parameter,
			"caller", place, "name", l.name, "remedy", "use SET LOCAL or set_config(…, true) in a transaction, or set DB_RESET=discard")
	}
}
