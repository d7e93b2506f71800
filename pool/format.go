package pool

import (
	"fmt"
	"io"
	"log/slog"
)

// String returns the pool's name and figures in one line:
//
//	pool "orders" (size 5, overflow 5, in use 3, idle 2, waiting 0)
func (p *Pool) String() string {
	s := p.Stats()
	return fmt.Sprintf("pool %q (size %d, overflow %d, in use %d, idle %d, waiting %d)",
		s.Name, s.PoolSize, s.MaxOverflow, s.InUse, s.Idle, s.Waiting)
}

// Format prints String for every verb: %+v would otherwise walk through the
// pool's fields, locks and secrets included.
func (p *Pool) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, p.String()) }

// LogValue is String, for slog.
func (p *Pool) LogValue() slog.Value { return slog.StringValue(p.String()) }
