package pool

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// vanished is a network from which an address has disappeared: nobody answers there.
type vanished struct {
	net.Dialer
	address string
	now     atomic.Bool
}

func (v *vanished) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if address == v.address && v.now.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return v.DialContext(ctx, network, address)
}

// TestPartitionedPrimary has the primary vanish without a word, as at a loss of
// power or of the network, with its sessions still there for all that anybody
// knows. They stay counted; what the limit leaves goes to the new primary, and
// the rest follows once the kernel has given the old one up.
func TestPartitionedPrimary(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, primary *pgtest.Server) {
		const size, overflow = 2, 2
		standby, proxy := primary.Standby(t, nil), primary.Proxy(t)
		dsn := strings.Replace(proxy.URL(hostsOf("read-write", primary)), proxy.Addr, proxy.Addr+","+hostOf(standby), 1)
		cfg := settled(dsn, size, overflow)
		cfg.ConnectTimeout = time.Second
		gone := &vanished{address: proxy.Addr}
		p := open(t, cfg, WithDialFunc(gone.dial))
		fill(t, p, size)
		wantAllAt(t, p, primary)
		seen := sample(t, standby, "ours")
		proxy.Freeze(true)
		gone.now.Store(true)
		standby.Promote(t)
		inParallel(size, func(int) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := p.ExecContext(ctx, "select $1::int", 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v from a server that says nothing", err)
			}
		})
		load := startCalls(t, 2*size, func(ctx context.Context) error {
			var port int
			err := p.QueryRowContext(ctx, "select current_setting('port')::int, $1::int", 1).Scan(&port, new(int))
			if err == nil && port != standby.Port {
				t.Errorf("served by port %d", port)
			}
			return err
		})
		load.await(t, 100)
		s, lost := p.Stats(), primary.Sessions(t.Context(), "ours")
		t.Logf("the old primary has %d sessions; in use %d, idle %d, closing %d of %d", lost, s.InUse, s.Idle, s.Closing, s.Limit)
		if lost < size || s.Closing < lost || s.Open()+s.Dialing+s.Closing > size+overflow {
			t.Errorf("the old primary has %d sessions; %+v", lost, s)
		}
		proxy.Cut() // what the kernel decides after pgdriver.UserTimeout
		until(t, 10*time.Second, "its slots are free", func() bool { return p.Stats().Closing == 0 })
		load.await(t, 100)
		load.stop()
		load.wantNoFailure(t)
		fill(t, p, size+overflow)
		wantPorts(t, p, "after the partition", size+overflow, standby)
		if n := seen.peak("ours"); n != size+overflow {
			t.Errorf("%d sessions at once on the new primary", n)
		}
	})
}
