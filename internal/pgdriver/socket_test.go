package pgdriver

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/internal/memconn"
)

// unborn is the place of a session that has not begun.
type unborn struct{ place }

func (*unborn) Established() bool { return false }

// TestGivenUpDialComesToItsEnd has pgx take its deadline away from a dial that it has
// given up, whenever that happens: the server never says a word, and the place
// comes free when it cannot have a session any more.
func TestGivenUpDialComesToItsEnd(t *testing.T) {
	for name, after := range map[string]time.Duration{"at once": 0, "while the server is waited for": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &unborn{}
				s := NewSocket(func(*Socket) Hold { return p })
				client, server := memconn.Pipe(0)
				defer server.Close()
				s.Conn = client
				if _, err := s.Write([]byte("a startup packet")); err != nil {
					t.Fatal(err)
				}
				_ = s.Close()
				time.Sleep(after)
				synctest.Wait()
				if err := s.SetDeadline(time.Time{}); err != nil {
					t.Error(err)
				}
				time.Sleep(DialBound + time.Second)
				synctest.Wait()
				if p.ended.Load() != 1 {
					t.Errorf("the place came free %d times within %s", p.ended.Load(), DialBound)
				}
			})
		})
	}
}
