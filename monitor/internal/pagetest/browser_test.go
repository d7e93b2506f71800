package pagetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds each test's work in the browser; the machine may be slow.
const patience = 90 * time.Second

// findBrowser returns a Chromium. Without one the test is skipped, or fails where
// DBPOOL_REQUIRE_SERVERS=1 promises that everything is there.
func findBrowser(t *testing.T) string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("DBPOOL_REQUIRE_SERVERS") == "1" {
		t.Fatal("no Chromium found: install chromium, or unset DBPOOL_REQUIRE_SERVERS")
	}
	t.Skip("no Chromium found")
	return ""
}

// tab is a browser's tab that notes everything it fetches and complains about.
type tab struct {
	ctx context.Context

	mu         sync.Mutex // guards everything below
	fetched    []string
	complaints []string
}

// open starts a browser of its own for the test and waits for it to end.
func open(t *testing.T) *tab {
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(findBrowser(t)), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("hide-scrollbars", true), chromedp.Env("TZ=UTC"),
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, closeTab := chromedp.NewContext(ctx)
	out := &tab{ctx: ctx}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Log("closing the browser: ", err)
		}
		closeTab()
		stop()
	})
	if err := chromedp.Listen(ctx, out.note); err != nil {
		t.Fatal(err)
	}
	call(t, out, network.Enable, network.EnableParams{})
	call(t, out, log.Enable, cdp.Empty{})
	call(t, out, runtime.Enable, cdp.Empty{})
	return out
}

func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.fetched = append(b.fetched, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, fmt.Sprintf("console.%s", e.Type))
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, fmt.Sprintf("%s %s: %s", e.Entry.Source, e.Entry.Level, e.Entry.Text))
	}
}

func (b *tab) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("browser: %v; it complained: %q", err, b.complained())
	}
}

// get runs an action that returns something.
func get[T any](t *testing.T, b *tab, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	out, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("browser: %v; it complained: %q", err, b.complained())
	}
	return out
}

// call sends a command of the DevTools protocol.
func call[P, R any](t *testing.T, b *tab, command cdp.Command[P, R], params P) R {
	t.Helper()
	out, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		t.Fatalf("browser: %s: %v", command.Method, err)
	}
	return out
}

// waitFor waits until a JavaScript expression is true.
func (b *tab) waitFor(t *testing.T, expression string) {
	t.Helper()
	get(t, b, chromedp.Poll[bool]("Boolean("+expression+")", chromedp.WithPollingTimeout(patience/2), chromedp.WithPollingInterval(50*time.Millisecond)))
}

// value evaluates a JavaScript expression.
func value[T any](t *testing.T, b *tab, expression string) T {
	t.Helper()
	return get(t, b, chromedp.Evaluate[T](expression))
}

func (b *tab) complained() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.complaints...)
}

// checkManners fails when the page complained, or fetched anything from elsewhere.
func (b *tab) checkManners(t *testing.T, origin string) {
	t.Helper()
	if got := b.complained(); len(got) > 0 {
		t.Errorf("the browser complained: %q", got)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.fetched) < 2 {
		t.Errorf("fetched only %q: the watch does not work", b.fetched)
	}
	for _, url := range b.fetched {
		if !strings.HasPrefix(url, origin+"/debug/pool-status") && !strings.HasPrefix(url, "data:") {
			t.Errorf("fetched from elsewhere: %s", url)
		}
	}
}
