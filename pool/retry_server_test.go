package pool

import (
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestNothingDoneTwice cuts the network between a statement's execution and the
// news of it. The statement must not be executed again behind the caller's back.
func TestNothingDoneTwice(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		srv.Exec(t, "create table t (who text, n int)")
		proxy := srv.Proxy(t)
		rivals := contenders(t, proxy.URL(srv.URL), 1)
		for _, r := range rivals {
			for _, args := range [][]any{nil, {r.name}} {
				mustExec(t, r, "select 1")
				proxy.Delay(200 * time.Millisecond)
				done := make(chan error, 1)
				insert := "insert into t values ('" + r.name + "', 1)"
				if args != nil {
					insert = "insert into t values ($1, 2)"
				}
				go func() { done <- r.exec(t.Context(), insert, args...) }()
				until(t, 10*time.Second, "it is executed", func() bool { return inserted(t, srv, r.name, len(args)+1) > 0 })
				proxy.Cut()
				proxy.Delay(0)
				err := <-done
				n := inserted(t, srv, r.name, len(args)+1)
				t.Logf("%s, %d arguments: executed %d times, error %v", r.name, len(args), n, err)
				if r.name == "ours" && (n != 1 || err == nil) {
					t.Errorf("executed %d times, error %v", n, err)
				}
			}
		}
	})
}

func inserted(t *testing.T, srv *pgtest.Server, who string, n int) int {
	t.Helper()
	rows, err := srv.QueryInt(t.Context(), "select count(*) from t where who = $1 and n = $2", who, n)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
