package pool

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// A tunnel's connection, as those of cloud providers' dialers are, has the methods of
// net.Conn and no others: it cannot be closed half. The server's count stays within
// the limit all the same, while callers give up and connections are replaced.
func TestTunnelThatCannotCloseHalf(t *testing.T) {
	srv := pgtest.Shared(t)
	cfg := settled(srv.URL, 2, 1)
	cfg.ApplicationName = "tunnel"
	p := open(t, cfg, WithDialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return struct{ net.Conn }{c}, nil
	}))
	most, stop := 0, make(chan struct{})
	var watcher, callers sync.WaitGroup
	watcher.Go(func() {
		for {
			most = max(most, srv.Sessions(t.Context(), "tunnel"))
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 10 {
		callers.Go(func() {
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				_, _ = p.ExecContext(ctx, "select pg_sleep(0.03)")
				cancel()
				p.Recycle()
				if err := p.PingContext(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	close(stop)
	watcher.Wait()
	if most < 1 || most > 3 {
		t.Errorf("the server had %d sessions of at most 3", most)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	until(t, 5*time.Second, "the server has ended all", func() bool { return srv.Sessions(t.Context(), "tunnel") == 0 })
}
