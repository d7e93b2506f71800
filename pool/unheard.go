package pool

// maxUnheard bounds how many failed commits wait to be logged.
const maxUnheard = 100

// noteUnheard notes the failure of a COMMIT that a read-only session has not waited
// for, if there was one. It may be called under database/sql's locks: the housekeeper
// tells of it.
func (p *Pool) noteUnheard(b backend) {
	c, ours := b.(*conn)
	if !ours {
		return
	}
	err := c.TakeUnheard()
	if err == nil {
		return
	}
	h := p.housekeeper
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.unheard) < maxUnheard {
		h.unheard = append(h.unheard, err)
	}
}

// logUnheard tells of commits that failed after their sessions had ended.
func (h *housekeeper) logUnheard() {
	h.mu.Lock()
	failed := h.unheard
	h.unheard = nil
	h.mu.Unlock()
	for _, err := range failed {
		h.p.log.Warn("commit of a read-only session failed after it had ended; nothing was lost", append([]any{"pool", h.p.cfg.Name}, loggable(err)...)...)
	}
}
