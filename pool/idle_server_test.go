package pool

import (
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestEndedWhileIdle has the server end sessions that nobody uses: they are soon
// counted as closed, without anybody needing them, wherever they rest, while
// those that it only told something stay.
func TestEndedWhileIdle(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		const size = 5
		for _, rest := range []time.Duration{0, 2500 * time.Millisecond} {
			cfg := settled(srv.URL, size, 0)
			cfg.Fleet = config.FleetOff
			p := open(t, cfg)
			fill(t, p, size)
			time.Sleep(rest) // or they are not at home yet
			srv.Exec(t, "alter system set timezone = 'Asia/Tokyo'; ")
			srv.Exec(t, "select pg_reload_conf()")
			until(t, 10*time.Second, "the pool has heard of the new setting", func() bool {
				for _, s := range p.gate.IdleSlots() {
					if !s.Backend.(*conn).IsQuiet() {
						return false
					}
				}
				return true
			})
			if s := p.Stats(); s.Idle != size || s.OpenedCount != size {
				t.Errorf("after news: idle %d, opened %d", s.Idle, s.OpenedCount)
			}
			srv.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ours'")
			until(t, 10*time.Second, "none is counted as idle", func() bool { s := p.Stats(); return s.Idle == 0 && s.Closing == 0 })
			if s := p.Stats(); s.Closed.Broken != size || s.DialCount != size {
				t.Errorf("closed %+v, %d dials", s.Closed, s.DialCount)
			}
			mustExec(t, mine(p), "select 1")
			srv.Exec(t, "alter system reset timezone")
		}
	})
}
