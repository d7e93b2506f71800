package pagetest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/monitor/internal/fakesource"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/pool"
)

// locked is a pool whose connections wait for psql's lock, two of them behind
// one of their own.
func locked(t *testing.T) *fakesource.Source {
	src := fakesource.New(t)
	psql := serverview.LockHolder{PID: 3157, Application: "psql", Role: "alice", State: "idle in transaction", StateSeconds: 50}
	own := serverview.LockHolder{PID: 101, Application: "orders-api", Role: "orders", State: "active", Waits: true}
	src.See(func(v *serverview.View) {
		v.LockWaiting = []uint32{101, 102, 103}
		v.LockWaits = []serverview.LockWait{
			{PID: 101, Application: "orders-api", Role: "orders", Mode: "RowExclusiveLock", Kind: "relation", Relation: "stock", Seconds: 40, BlockedBy: []uint32{3157}, HeldBy: []serverview.LockHolder{psql}},
			{PID: 102, Application: "orders-api", Role: "orders", Mode: "ShareLock", Kind: "transactionid", Seconds: 30, BlockedBy: []uint32{101}, HeldBy: []serverview.LockHolder{own}},
			{PID: 103, Application: "orders-api", Role: "orders", Mode: "ShareLock", Kind: "transactionid", Seconds: 20, BlockedBy: []uint32{101}, HeldBy: []serverview.LockHolder{own}},
		}
	})
	src.Suffer(pool.Diagnosis{
		Verdict: pool.VerdictLock, Culprit: "pid 3157 (psql, alice, idle in transaction 50s)", Command: "select pg_terminate_backend(3157)",
		Since: time.Now().Add(-50 * time.Second), Seen: time.Now(),
		Sentence: "9 of 9 wait for a lock held by pid 3157 (psql, alice, idle in transaction 50s): select pg_terminate_backend(3157) (as alice or a superuser)",
	})
	src.Set(func(s *pool.Stats) { s.InUse, s.Idle, s.Waiting, s.TimeoutCount = 10, 0, 41, 7 })
	src.Hold(
		pool.Holder{Name: "GET /stock", Caller: "api/stock.go:12", Held: 40 * time.Second, Activity: "running", PID: 101},
		pool.Holder{Name: "POST /orders", Caller: "api/orders.go:7", Held: 30 * time.Second, Activity: "running", PID: 102})
	src.Serve(
		pool.RouteStats{Name: "GET /stock", InUse: 8, Waiting: 41, AcquireCount: 900, TimeoutCount: 7},
		pool.RouteStats{Name: "POST /orders", InUse: 2, AcquireCount: 120, ShedCount: 4})
	src.Ask(
		pool.RouteStats{Name: "UPDATE stock SET n = n - ? WHERE id = ?", InUse: 8, Waiting: 41, AcquireCount: 900, TimeoutCount: 7},
		pool.RouteStats{Name: "insert into orders (customer, article, total) values (…)", InUse: 2, AcquireCount: 120, ShedCount: 4})
	const text = "UPDATE stock SET n = n - 1 WHERE id = 7"
	src.Run(
		serverview.Query{PID: 101, State: "active", ApplicationName: "orders-api", Role: "orders", WaitingFor: "Lock: relation", BlockedBy: []uint32{3157}, QuerySeconds: 40, Text: text},
		serverview.Query{PID: 102, State: "active", ApplicationName: "orders-api", Role: "orders", WaitingFor: "Lock: relation", BlockedBy: []uint32{101}, QuerySeconds: 30, Text: strings.Replace(text, "7", "8", 1)})
	return src
}

func TestPageOfAHeldLock(t *testing.T) {
	url := serve(t, locked(t), monitor.WithQueryText())
	b := open(t)
	b.look(t, "light", 1200, 1)
	b.do(t, chromedp.Navigate(url+"/debug/pool-status"))
	b.waitFor(t, says("#sentence", "9 of 9 wait for a lock held by pid 3157 (psql, alice, idle in transaction 50s): select pg_terminate_backend(3157) (as alice or a superuser)"))
	b.waitFor(t, "document.querySelector('#sentence code')?.textContent === 'select pg_terminate_backend(3157)'")
	b.waitFor(t, says("#lock-tree > ul > li > span", "blocks 3")+" && "+says("#lock-tree > ul > li > span", "3157 psql, alice idle in transaction"))
	b.waitFor(t, says("#lock-tree > ul > li > ul > li", "101 orders-api, orders waits 40")+" && "+says("#lock-tree > ul > li > ul > li", "for GET /stock, api/stock.go:12"))
	if n := value[int](t, b, "document.querySelectorAll('#lock-tree ul ul ul > li').length"); n != 2 {
		t.Errorf("%d sessions behind the second, want 2", n)
	}
	b.waitFor(t, says("#routes-table", "GET /stock")+" && "+says("#routes-table", "41"))
	b.waitFor(t, says("#statements-table", "UPDATE stock SET n = n - ? WHERE id = ?")+" && "+says("#statements-table", "41")+" && byID('statements-note').hidden")
	b.waitFor(t, "document.querySelectorAll('#queries tbody tr').length === 1 && "+says("#queries", "2 of them")+" && "+says("#queries", "id = ?"))
	if value[bool](t, b, "[...document.querySelectorAll('.notice')].filter((n) => n.textContent.includes('9 of 9 wait')).length !== 1") {
		t.Error("the cause has more than one banner")
	}
	keep(t, "lock", get(t, b, chromedp.FullScreenshot(100)))
	b.look(t, "dark", 1200, 1)
	keep(t, "lock-dark", get(t, b, chromedp.FullScreenshot(100)))
	b.look(t, "light", 390, 2)
	if wide := value[int64](t, b, "document.documentElement.scrollWidth"); wide > 390 {
		t.Errorf("the page is %d wide on a phone", wide)
	}
	if at := value[float64](t, b, "byID('in-use').getBoundingClientRect().bottom + window.scrollY"); at > 844 {
		t.Errorf("on a phone the figures end at %.0f pixels, below the first screen", at)
	}
	if value[bool](t, b, "byID('problems').getBoundingClientRect().top < byID('in-use').getBoundingClientRect().bottom") {
		t.Error("other banners stand above the figures")
	}
	keep(t, "lock-phone", get(t, b, chromedp.FullScreenshot(100)))
	b.checkManners(t, url)
}

func TestPageFilters(t *testing.T) {
	url := serve(t, locked(t))
	b := open(t)
	b.do(t, chromedp.Navigate(url+"/debug/pool-status"))
	b.waitFor(t, "document.querySelectorAll('#routes-table tbody tr').length === 2")
	b.waitFor(t, says("#events", "monitoring started"))
	b.do(t, chromedp.Evaluate[chromedp.Void]("byID('filter').value = 'post /ORDERS'; byID('filter').dispatchEvent(new Event('input'))"))
	b.waitFor(t, "document.querySelectorAll('#routes-table tbody tr').length === 1 && document.querySelectorAll('#holders tbody tr').length === 1")
	b.waitFor(t, says("#statements-table", "Nothing here matches the filter")+" && !byID('statements-note').hidden") // no text is shown
	b.waitFor(t, says("#queries", "Nothing here matches the filter"))
	b.do(t, chromedp.Evaluate[chromedp.Void]("byID('filter').value = ''; byID('severity').value = 'warning'; byID('severity').dispatchEvent(new Event('input'))"))
	b.waitFor(t, "document.querySelectorAll('#holders tbody tr').length === 2 && !"+says("#events", "monitoring started"))
	b.checkManners(t, url)
}

// What is pasted into a chat names no client, no SQL and no stack.
func TestPageCopiesAnIncidentReport(t *testing.T) {
	src := locked(t)
	src.Run(serverview.Query{PID: 7, State: "active", ClientAddress: "10.1.2.3", Text: "SELECT secret FROM vault", QuerySeconds: 9})
	url := serve(t, src, monitor.WithQueryText(), monitor.WithAddresses(), monitor.WithStacks())
	b := open(t)
	b.do(t, chromedp.Navigate(url+"/debug/pool-status"))
	b.waitFor(t, says("#queries", "vault")+" && "+says("#queries", "10.1.2.3"))
	b.do(t, chromedp.Evaluate[chromedp.Void]("navigator.clipboard.writeText = () => Promise.reject(new Error('no')); byID('incident').click()"))
	b.waitFor(t, "byID('report').open && "+says("#report-note", "copy it with the keyboard"))
	report := value[string](t, b, "byID('report-text').value")
	for _, want := range []string{"orders: ", "diagnosis: 9 of 9 wait for a lock", "holder: 40 s by api/stock.go:12 (GET /stock), running, pid 101", "route: GET /stock: 8 in use, 41 waiting", "lock: pid 101 waits 40 s", "event: "} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in:\n%s", want, report)
		}
	}
	for _, secret := range []string{"vault", "10.1.2.3"} {
		if strings.Contains(report, secret) {
			t.Errorf("%q is in:\n%s", secret, report)
		}
	}
	b.do(t, chromedp.Evaluate[chromedp.Void]("byID('report').close(); navigator.clipboard.writeText = async (text) => { window.copied = text; }; byID('copy-command').click()"))
	b.waitFor(t, "window.copied === 'select pg_terminate_backend(3157)' && "+says("#live", "Copied the command"))
	b.checkManners(t, url)
}

func TestPageShowsHours(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/debug/pool-status", record(t))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	b := open(t)
	b.do(t, chromedp.Navigate(srv.URL+"/debug/pool-status"))
	b.waitFor(t, says("#h-time", "The last 15 minutes"))
	b.do(t, chromedp.Evaluate[chromedp.Void]("byID('span').value = '60'; byID('span').dispatchEvent(new Event('change'))"))
	b.waitFor(t, says("#h-time", "The last 1 hour")+" && state.history.at_seconds.length >= 14 && state.history.step_seconds === 60")
	keep(t, "hours", get(t, b, chromedp.FullScreenshot(100)))
	b.do(t, chromedp.Evaluate[chromedp.Void]("byID('span').value = '2'; byID('span').dispatchEvent(new Event('change'))"))
	b.waitFor(t, says("#h-time", "The last 15 minutes")+" && state.history.at_seconds.length > 400")
	b.checkManners(t, srv.URL)
}
