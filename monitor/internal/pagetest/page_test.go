package pagetest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/monitor/internal/fakesource"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/pool"
)

// serve runs a monitor of src and serves its page until the test ends.
func serve(t *testing.T, src *fakesource.Source, opts ...monitor.Option) (url string) {
	m := monitor.New(src, append(opts, monitor.WithLogger(slog.New(slog.DiscardHandler)))...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	mux := http.NewServeMux()
	mux.Handle("/debug/pool-status", m.PoolStatus())
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		srv.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return srv.URL
}

// says is an expression that is true when the element shows the text.
func says(selector, text string) string {
	return "document.querySelector('" + selector + "')?.textContent.includes('" + text + "')"
}

func TestPageShowsWhatHappens(t *testing.T) {
	src := fakesource.New(t)
	url := serve(t, src)
	b := open(t)
	b.do(t, chromedp.Navigate(url+"/debug/pool-status"))
	b.waitFor(t, says("#status", "Healthy"))
	b.waitFor(t, says("#in-use", "0"))
	b.waitFor(t, says("#server", "max_connections"))

	src.Set(func(s *pool.Stats) { s.InUse, s.Idle, s.Waiting = 9, 0, 3 }) // over the threshold
	b.waitFor(t, says("#in-use", "9"))
	b.waitFor(t, says("#status", "Degraded"))
	b.waitFor(t, says("main", "9 of 10 connections are in use"))
	b.waitFor(t, says("#events", "pool usage is 90 %"))
	b.waitFor(t, "document.title.startsWith('9/10')")

	src.Hold(pool.Holder{Name: "GET /report", Caller: "api/report.go:88", Held: 12 * time.Minute, Activity: "idle in transaction", Leaking: true})
	src.Set(func(s *pool.Stats) { s.Leaking, s.LeakWarningCount = 1, 1 })
	b.waitFor(t, says("main", "1 connection is held for too long; the longest for 12m0s by api/report.go:88"))
	b.waitFor(t, says("#events", "12m0s by api/report.go:88 (GET /report), idle in transaction"))
	b.waitFor(t, says("#holders", "held too long"))
	b.waitFor(t, "document.querySelectorAll('svg.chart')[0].querySelector('path.use').getAttribute('d').length > 0")
	if stacks := value[int](t, b, "document.querySelectorAll('#holders details').length"); stacks != 0 {
		t.Errorf("%d stacks are shown unasked", stacks)
	}
	b.checkManners(t, url)
}

// A server that others have filled: what was read before must not pass for now.
func TestPageOfAFullServer(t *testing.T) {
	src := fakesource.New(t)
	src.Run(serverview.Query{PID: 7, State: "active", QuerySeconds: 1})
	url := serve(t, src)
	b := open(t)
	b.do(t, chromedp.Navigate(url+"/debug/pool-status"))
	b.waitFor(t, says("#tiles", "87 sessions"))
	b.waitFor(t, "document.querySelector('#tasks').hidden")
	src.Fail(errors.New("no connection"))
	b.waitFor(t, says("#tiles", "ago; the connection failed since"))
	b.waitFor(t, says("#server-note", "What follows is"))
	b.waitFor(t, says("#queries-note", "What follows is"))
	src.Set(func(s *pool.Stats) {
		s.Server = pool.ServerState{Reason: "server full", Since: time.Now()}
		s.LastDialError = &pool.DialError{At: time.Now(), SQLState: "53300", Reason: "server full", Message: "sorry, too many clients already (SQLSTATE 53300)", Remedy: "raise max_connections"}
		s.Tasks = pool.TaskStats{StartedCount: 9, FailedCount: 2, PanicCount: 1, Running: []pool.RunningTask{{Name: hostile, Since: time.Now().Add(-time.Minute)}}}
	})
	b.waitFor(t, says("#tiles", "no new connection: server full"))
	b.waitFor(t, says("#problems", "sorry, too many clients already (SQLSTATE 53300). To do: raise max_connections"))
	b.waitFor(t, says("#tasks-note", "1 running, 9 started, 2 failed (1 by panic)"))
	b.waitFor(t, says("#tasks-running", `<img src=x onerror="window.pwned=1">`))
	b.checkManners(t, url)
}

func TestPageSaysWhenTheServiceIsGone(t *testing.T) {
	src := fakesource.New(t)
	m := monitor.New(src)
	answer := make(chan int, 1)
	answer <- http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := <-answer
		answer <- code
		if code != http.StatusOK && r.URL.Query().Has("history") {
			http.Error(w, "gone", code)
			return
		}
		m.PoolStatus().ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	b := open(t)
	b.do(t, chromedp.Navigate(srv.URL+"/debug/pool-status"))
	b.waitFor(t, says("#name", "orders"))
	b.waitFor(t, says("#no-history", "The monitor is not running"))
	<-answer
	answer <- http.StatusBadGateway
	b.waitFor(t, says("#offline", "the service answered 502"))
	b.waitFor(t, says("#status", "No answer")+" && document.querySelector('#standing').className === 'pill unknown' && document.title.startsWith('No answer')")
	<-answer
	answer <- http.StatusOK
	b.waitFor(t, "document.querySelector('#offline').hidden && document.querySelector('#standing').className !== 'pill unknown'")
}

// hostile is what a stranger could call himself.
const hostile = `</script><img src=x onerror="window.pwned=1"><b>"'&amp;` + "\u202e"

func TestPageShowsHostileNamesAsText(t *testing.T) {
	src := fakesource.New(t)
	src.Set(func(s *pool.Stats) { s.InUse = 1 })
	src.Hold(pool.Holder{Name: hostile, Caller: hostile, Activity: hostile, Held: time.Second, Stack: []string{hostile}, Leaking: true})
	src.See(func(v *serverview.View) {
		v.Applications = []serverview.Application{{Name: hostile, Sessions: 2}, {Name: strings.Repeat("x", 63), Sessions: 1}}
		v.Role, v.Database, v.Version = hostile, hostile, hostile
		v.States = []serverview.StateCount{{State: hostile, Count: 1}}
	})
	src.Set(func(s *pool.Stats) {
		s.Fleet = pool.FleetStats{Mode: config.FleetEnforce, At: time.Now(), Need: 3, Fallback: hostile, Arithmetic: []string{hostile}, Remedies: []string{hostile + strings.Repeat("x", 90)}}
	})
	src.Run(serverview.Query{PID: 1, ApplicationName: hostile, Role: hostile, State: hostile, WaitingFor: hostile, ClientAddress: hostile, Text: `SELECT "` + hostile + `"`})
	url := serve(t, src, monitor.WithQueryText(), monitor.WithStacks(), monitor.WithAddresses())
	b := open(t)
	b.look(t, "light", 390, 1)
	b.do(t, chromedp.Navigate(url+"/debug/pool-status"))
	for _, where := range []string{"#about", "#server", "#holders", "#queries", "#fleet-figures", "#fleet-words li", "#fleet-words .remedies"} {
		b.waitFor(t, says(where, `<img src=x onerror="window.pwned=1">`))
	}
	if made := value[int](t, b, "document.querySelectorAll('img, main script, main b img').length"); made != 0 {
		t.Errorf("%d elements were made of names", made)
	}
	if value[bool](t, b, "'pwned' in window") {
		t.Error("a name was run as a script")
	}
	if wide := value[int64](t, b, "document.documentElement.scrollWidth"); wide > 390 {
		t.Errorf("names push the page to %d pixels", wide)
	}
	b.checkManners(t, url)
}

func TestPageByKeyboardAndScreenReader(t *testing.T) {
	url := serve(t, fakesource.New(t))
	b := open(t)
	b.do(t, chromedp.Navigate(url+"/debug/pool-status"))
	b.waitFor(t, "document.querySelector('svg.chart path.idle')?.getAttribute('d').length > 20")

	b.do(t, chromedp.KeyEvent(kb.Tab))
	if got := value[string](t, b, "document.activeElement.textContent"); !strings.HasPrefix(got, "Skip") {
		t.Errorf("the first stop is %q, want the skip link", got)
	}
	b.do(t, chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	b.waitFor(t, says("#pause", "Resume")+" && "+says("#freshness", "Paused"))

	b.do(t, chromedp.Focus(chromedp.CSS("svg.chart")), chromedp.KeyEvent(kb.ArrowLeft))
	b.waitFor(t, says("#live", "Connections, in use 0, idle 2"))
	b.waitFor(t, "document.querySelectorAll('line.cursor').length === 5")

	nodes := call(t, b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes
	checkNames(t, nodes)
	b.checkManners(t, url)
}

// checkNames fails when something that must be told to people who do not see it
// has no name.
func checkNames(t *testing.T, nodes []*accessibility.Node) {
	count := map[string]int{}
	for _, n := range nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role, name := strings.Trim(string(n.Role.Value), `"`), ""
		if n.Name != nil {
			name = strings.Trim(string(n.Name.Value), `"`)
		}
		count[role]++
		switch role {
		case "image", "button", "link", "heading", "figure", "table", "region", "columnheader":
			if name == "" && role != "figure" {
				t.Errorf("a %s has no name", role)
			}
		}
	}
	for role, least := range map[string]int{"banner": 1, "main": 1, "image": 7, "button": 1, "region": 8, "heading": 8} {
		if count[role] < least {
			t.Errorf("%d of role %s, want at least %d", count[role], role, least)
		}
	}
}
