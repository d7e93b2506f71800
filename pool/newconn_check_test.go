package pool

import (
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/dial"
)

// TestCheckOutlastsAShortStatementTimeout has statement_timeout end the question that each
// new connection is asked, as one of a millisecond does on a busy server. The session is
// good, so it is kept: pools that close it would open one after the other.
func TestCheckOutlastsAShortStatementTimeout(t *testing.T) {
	inWire(t, orders(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		asked := 0
		s.with(func(f *wireFaults) {
			f.script = func(w *wireSession, msg pgproto3.FrontendMessage) bool {
				if q, ok := msg.(*pgproto3.Query); ok && q.String == dial.CheckQuery {
					if asked++; asked <= 20 {
						q.String = "sleep 1h"
						w.Canceled <- struct{}{}
					}
				}
				return true
			}
		})
		if _, err := p.ExecContext(t.Context(), "update"); err != nil {
			t.Error(err)
		}
		if _, _, opened := s.figures(); opened != 1 || asked != 21 {
			t.Errorf("%d sessions were opened and asked %d times", opened, asked)
		}
	})
}
